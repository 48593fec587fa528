package plugin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

// syncTarget is which running `up`, and which of its folders, a command of sync
// is about.
type syncTarget struct {
	factory *Factory
	file    string
	name    string
	folder  string
	output  string
}

// flags adds the flags that all of these commands have.
func (t *syncTarget) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().StringVar(&t.folder, "folder", "", "synced folder, by its path on this machine or in the pod; all when not given")
}

// outputFlag adds -o to a command that has something to read.
func (t *syncTarget) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.output, "output", "o", "", "output format: json")
}

// complete takes the development container's name.
func (t *syncTarget) complete(cmd *cobra.Command, args []string) (err error) {
	t.name, err = onlyName(cmd, args, cmd.CommandPath())
	return err
}

// session is a running `up` that is asked something.
type session struct {
	devsession.Control
	target *syncTarget
	dev    string
}

// session returns the `up` that is meant. Nothing is asked of the cluster.
func (t *syncTarget) session() (*session, error) {
	cluster, err := t.factory.Cluster()
	if err != nil {
		return nil, err
	}
	dev, err := t.dev()
	if err != nil {
		return nil, err
	}
	folder := t.folder
	if folder != "" && !filepath.IsAbs(folder) {
		folder = filepath.Join(t.factory.Dir, folder)
	}
	if folder != "" {
		folder = filepath.Clean(folder)
	}
	return &session{
		Control: devsession.Control{Socket: t.factory.controlSocket(cluster, dev), Folder: folder},
		target:  t, dev: dev,
	}, nil
}

// dev returns the development container's name: the manifest's, or the given one
// where it may be another folder's.
func (t *syncTarget) dev() (string, error) {
	m, err := t.factory.Manifest(t.file)
	if errors.Is(err, manifest.ErrNotFound) && t.file == "" && t.name != "" {
		return t.name, nil
	}
	if err != nil {
		return "", err
	}
	dev, err := m.Select(t.name)
	var unknown *manifest.UnknownDevError
	if errors.As(err, &unknown) && t.file == "" {
		return t.name, nil
	}
	if err != nil {
		return "", err
	}
	return dev.Name, nil
}

// notHereError means that no `up` of a development container runs on this
// machine.
type notHereError struct {
	// Dev is the development container, Holder who runs `up` elsewhere; empty
	// when nobody does or it is not known.
	Dev, Holder string
	Since       time.Time
}

func (e *notHereError) Error() string {
	text := fmt.Sprintf("no `up` of %s runs on this machine", e.Dev)
	if e.Holder != "" {
		text += fmt.Sprintf("; %s holds it since %s", e.Holder, e.Since.Local().Format(time.DateTime))
	}
	return text
}

func (e *notHereError) Unwrap() error { return control.ErrNoSession }

// explain says where `up` runs if not here, when the cluster tells soon.
func (s *session) explain(ctx context.Context, err error) error {
	if !errors.Is(err, control.ErrNoSession) {
		return err
	}
	const patience = 3 * time.Second
	here := &notHereError{Dev: s.dev}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if env, err := s.target.factory.holder(ctx, s.dev); err == nil && !env.Expired {
		here.Holder, here.Since = env.Holder, env.Since
	}
	return here
}
