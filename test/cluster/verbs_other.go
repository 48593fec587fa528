//go:build !linux

package main

import (
	"context"
	"errors"
)

const superviseVerb = "supervise"

// errLinux is what all verbs for our own cluster say elsewhere.
func errLinux() error {
	return errors.New("the cluster needs Linux and root; name another cluster by " + contextVar)
}

func (c cluster) up(context.Context) error            { return errLinux() }
func (c cluster) down(context.Context) error          { return errLinux() }
func (c cluster) status(context.Context) error        { return errLinux() }
func (c cluster) env(context.Context) error           { return errLinux() }
func (c cluster) pushImages(context.Context) error    { return errLinux() }
func (c cluster) start(context.Context, string) error { return errLinux() }
func (c cluster) kill(context.Context, string) error  { return errLinux() }
func supervise(context.Context, string) error         { return errLinux() }
