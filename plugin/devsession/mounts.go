package devsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/hybrid"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// Mounts brings to this machine what Kubernetes mounts into the dev container from
// its objects, and keeps it as it is there while there is a connection. A nil one
// does nothing.
type Mounts struct {
	// Paths asks where the dev container has them.
	Paths func(ctx context.Context) ([]string, error)
	// In is where their folder is made. It belongs to one environment.
	In string
	// Console is told what could not be brought here.
	Console *console.Console

	folder *hybrid.Folder
	// refused means that there will be none.
	refused bool
	// warned are the texts that the user has seen.
	warned map[string]bool
}

// follow returns when all mounts are here, or why not was said, and keeps them up to
// date until the connection is lost, ctx ends or end is called.
func (m *Mounts) follow(ctx context.Context, client *sshclient.Client) (end func()) {
	if m == nil || !m.open() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	settled, over := make(chan struct{}), make(chan struct{})
	settle := sync.OnceFunc(func() { close(settled) })
	go func() {
		defer close(over)
		defer settle()
		for pause := (backoff{}); ; {
			err := m.over(ctx, client, settle)
			if err == nil || ctx.Err() != nil || disconnected(err) {
				return
			}
			// Where it ended in good order, the dev container has, and another follows.
			if !errors.Is(err, io.EOF) {
				m.warn(err)
			}
			settle()
			if pause.wait(ctx, err) != nil {
				return
			}
		}
	}()
	<-settled
	return func() {
		cancel()
		<-over
	}
}

// open makes the folder, once this session is the only one of its environment.
func (m *Mounts) open() bool {
	if m.folder != nil || m.refused {
		return !m.refused
	}
	var err error
	if m.folder, err = hybrid.OpenFolder(m.In); err != nil {
		m.refused = true
		m.warn(err)
		return false
	}
	m.Console.Note("what the pod has mounted of ConfigMaps, Secrets and tokens is in %s: %s names it", m.folder.Path(), hybrid.MountsVariable)
	return true
}

// over follows the mounts of the pod over a connection. It returns nil when there is
// nothing to follow.
func (m *Mounts) over(ctx context.Context, client *sshclient.Client, settle func()) error {
	const patience = 10 * time.Second // the command waits for what is mounted
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	paths, err := m.Paths(asking)
	if err != nil {
		return fmt.Errorf("asking what is mounted in the pod: %w", err)
	}
	if err := m.folder.Keep(paths); err != nil {
		m.warn(fmt.Errorf("removing what the pod has mounted no more: %w", err))
	}
	if len(paths) == 0 {
		return nil
	}
	ask, err := mounts.NewRequest(mounts.Request{Paths: paths})
	if err != nil {
		return fmt.Errorf("asking for the mounts of the pod: %w", err)
	}
	channel, err := client.Subsystem(ctx, config.SubsystemMounts)
	if err != nil {
		return fmt.Errorf("asking the agent for the mounts of the pod: %w", err)
	}
	defer func() { _ = channel.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = channel.Close() })
	defer stop()
	if _, err := channel.Write(ask); err != nil {
		return fmt.Errorf("asking the agent for the mounts of the pod: %w", err)
	}
	missing := slices.Clone(paths)
	for {
		told, err := mounts.ReadMount(channel)
		if err != nil {
			return fmt.Errorf("following the mounts of the pod: %w", err)
		}
		if err := m.folder.Set(told); err != nil {
			m.warn(err)
		}
		for _, name := range told.Unreadable {
			m.warn(fmt.Errorf("%s is not here: in the pod only other users may read it", join(told.Path, name)))
		}
		if missing = slices.DeleteFunc(missing, func(p string) bool { return p == told.Path }); len(missing) == 0 {
			settle()
		}
	}
}

// join names a file of a mount.
func join(mount, name string) string {
	if name == "" {
		return mount
	}
	return mount + "/" + name
}

// warn says what could not be done, once, and no more than fits a screen: the pod
// decides how many there are, and what is in them.
func (m *Mounts) warn(err error) {
	const many = 100
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, err.Error())
	if m.warned[text] || len(m.warned) == many {
		return
	}
	if m.warned == nil {
		m.warned = map[string]bool{}
	}
	m.warned[text] = true
	m.Console.Warn("%s", text)
}

// path is where the folder is; "" where there is none.
func (m *Mounts) path() string {
	if m == nil || m.folder == nil {
		return ""
	}
	return m.folder.Path()
}

// named adds the variable with the folder's name to an environment.
func (m *Mounts) named(env []string) []string {
	if m.path() == "" {
		return env
	}
	return append(env, hybrid.MountsVariable+"="+m.path())
}

// close removes the folder.
func (m *Mounts) close() {
	if m.path() == "" {
		return
	}
	if err := m.folder.Close(); err != nil {
		m.Console.Warn("the files of the mounts are left behind: %v", err)
	}
}
