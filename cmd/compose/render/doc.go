// Package render writes what the verbs have to say: progress, logs, tables.
package render
