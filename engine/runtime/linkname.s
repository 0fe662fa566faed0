// Empty: it lets program.go declare functions whose bodies the Go runtime has.
