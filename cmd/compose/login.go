package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/engine/image"
	"compose/engine/image/registry"
)

// defaultRegistry is the name under which credentials of the default registry
// are kept, by Docker as well.
const defaultRegistry = "https://index.docker.io/v1/"

func newLoginCommand(app *App) *cobra.Command {
	var user, password string
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "login [OPTIONS] [SERVER]",
		Short: "Log in to a registry",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, key := loginServer(args)
			if fromStdin {
				if user == "" {
					return errors.New("must provide --username with --password-stdin")
				}
				data, err := io.ReadAll(io.LimitReader(app.Stdin, 64<<10))
				if err != nil {
					return err
				}
				password = strings.TrimRight(string(data), "\r\n")
			} else if cmd.Flags().Changed("password") {
				fmt.Fprintln(app.Stderr, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
			}
			if err := app.ask(&user, &password); err != nil {
				return err
			}
			r, err := app.roots()
			if err != nil {
				return err
			}
			config, err := registry.LoadConfig(r.State)
			if err != nil {
				return err
			}
			if err := config.Login(cmd.Context(), host, user, password); err != nil {
				return err
			}
			file, err := dockerconfig.Load(dockerconfig.Dir())
			if err != nil {
				return fmt.Errorf("read Docker's configuration file: %w", err)
			}
			if file.CredentialsStore == "" && file.CredentialHelpers[key] == "" {
				fmt.Fprintf(app.Stderr, "WARNING! Your credentials are stored unencrypted in '%s'.\n", file.GetFilename())
			}
			if err := file.GetCredentialsStore(key).Store(types.AuthConfig{ServerAddress: key, Username: user, Password: password}); err != nil {
				return fmt.Errorf("store the credentials: %w", err)
			}
			_, err = fmt.Fprintln(app.Stdout, "Login Succeeded")
			return err
		},
	}
	cmd.Flags().StringVarP(&user, "username", "u", "", "The user's name")
	cmd.Flags().StringVarP(&password, "password", "p", "", "The password or a token")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "Read the password from standard input")
	return cmd
}

// loginServer is the host to speak to, and the name to keep credentials under.
func loginServer(args []string) (host, key string) {
	if len(args) == 0 {
		ref, err := image.ParseReference("any") // its host is the default registry's
		if err != nil {
			return "", defaultRegistry
		}
		return ref.Host(), defaultRegistry
	}
	host = strings.TrimPrefix(strings.TrimPrefix(args[0], "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	return host, host
}

// ask asks for what has not been given, where there is somebody to ask.
func (app *App) ask(user, password *string) error {
	in := int(app.Stdin.Fd())
	if (*user == "" || *password == "") && !term.IsTerminal(in) {
		return errors.New("cannot perform an interactive login from a non TTY device; use --username with --password-stdin")
	}
	if *user == "" {
		fmt.Fprint(app.Stdout, "Username: ")
		line, err := bufio.NewReader(app.Stdin).ReadString('\n')
		if *user = strings.TrimSpace(line); *user == "" {
			return errors.Join(errors.New("username is required"), err)
		}
	}
	if *password == "" {
		fmt.Fprint(app.Stdout, "Password: ")
		data, err := term.ReadPassword(in)
		fmt.Fprintln(app.Stdout)
		if *password = string(data); *password == "" {
			return errors.Join(errors.New("password is required"), err)
		}
	}
	return nil
}

func newLogoutCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Forget the credentials for a registry",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			host, key := loginServer(args)
			file, err := dockerconfig.Load(dockerconfig.Dir())
			if err != nil {
				return fmt.Errorf("read Docker's configuration file: %w", err)
			}
			if _, ok := file.AuthConfigs[key]; !ok && file.CredentialsStore == "" && file.CredentialHelpers[key] == "" {
				_, err = fmt.Fprintf(app.Stdout, "Not logged in to %s\n", host)
				return err
			}
			fmt.Fprintf(app.Stdout, "Removing login credentials for %s\n", key)
			return file.GetCredentialsStore(key).Erase(key)
		},
	}
}
