package plugin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// commandOptions is what every command's options do, in this order.
type commandOptions interface {
	// Complete takes arguments and what flags leave open.
	Complete(cmd *cobra.Command, args []string) error
	// Validate refuses what cannot work, before anything is done.
	Validate() error
	// Run does the work.
	Run(cmd *cobra.Command) error
}

// runCommand takes a command through its three steps.
func runCommand(cmd *cobra.Command, args []string, o commandOptions) error {
	if err := o.Complete(cmd, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	return o.Run(cmd)
}

// usageError means that the command line is wrong.
type usageError struct {
	err error
	// command is the command that was meant; nil until withUsage tells.
	command *cobra.Command
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// withUsage names the command to a usageError. All that can go wrong in the
// root command, which does nothing, is its usage.
func withUsage(command *cobra.Command, err error) error {
	var usage *usageError
	if err == nil || command.HasParent() && !errors.As(err, &usage) {
		return err
	}
	return &usageError{err, command}
}

func noArguments(args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}

func validateOutput(output string) error {
	if output != "" && output != "json" {
		return usagef("output format %q is not known; use json", output)
	}
	return nil
}

// splitDash parts the arguments before -- from the command after it. At most
// one name may stand before.
func splitDash(cmd *cobra.Command, args []string) (name string, command []string, err error) {
	before := args
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		before, command = args[:at], args[at:]
	}
	switch len(before) {
	case 0:
		return "", command, nil
	case 1:
		return before[0], command, nil
	default:
		return "", nil, usagef("unexpected argument %q: a command follows --, as in %s %s -- %s",
			before[1], cmd.CommandPath(), before[0], before[1])
	}
}

// onlyName is splitDash for a command, called what, that runs none itself.
func onlyName(cmd *cobra.Command, args []string, what string) (string, error) {
	name, command, err := splitDash(cmd, args)
	if err == nil && command != nil {
		err = usagef("%s runs no command", what)
	}
	return name, err
}

// codeError ends a command that ran for the user with that command's status.
type codeError struct{ code int }

func (e *codeError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// errInterrupted means that the user stopped the plugin.
var errInterrupted = errors.New("interrupted")
