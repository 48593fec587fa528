//go:build linux

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/receiver"
	"github.com/kubectl-okteto/kubectl-okteto/agent/seed"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// Seed is the seed role: it copies what the image has into each target that
// nobody has used yet.
func Seed(ctx context.Context, c config.Seed, log *slog.Logger) error {
	for _, dir := range c.Copies {
		fresh, err := seed.Fresh(dir.To)
		if err != nil {
			return fmt.Errorf("looking at the workspace: %w", err)
		}
		if !fresh {
			continue
		}
		if err := seedOne(ctx, seed.Tree{Image: "/", From: dir.From, To: dir.To}, log); err != nil {
			return err
		}
	}
	return nil
}

func seedOne(ctx context.Context, t seed.Tree, log *slog.Logger) error {
	begin := time.Now()
	found, err := t.Copy(ctx)
	if err != nil {
		return err
	}
	log.Info("workspace seeded", "from", t.From, "to", t.To, "found", found, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// seeding is the seeding of one folder by the sidecar.
type seeding struct {
	// done is closed when the folder may be used, or never will be.
	done chan struct{}
	err  error
}

// seedings are the seedings of all folders of the workspace, by path.
type seedings map[string]*seeding

func newSeedings(folders []string) seedings {
	all := seedings{}
	for _, f := range folders {
		all[f] = &seeding{done: make(chan struct{})}
	}
	return all
}

// wait waits until a folder may be used.
func (all seedings) wait(ctx context.Context, folder string) error {
	select {
	case <-all[folder].done:
		return all[folder].err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seedAll seeds, one after the other, the folders that were never seeded.
// Volumes come first: when the roots can be synced, all is there. A marker in
// the state folder, which lives as long as the workspace, says that one was
// seeded: what a developer deleted must not come back.
func (s Sidecar) seedAll(ctx context.Context, seedings seedings, o *owner) {
	for _, folder := range s.Config.Folders() {
		g := seedings[folder]
		g.err = s.seed(ctx, folder, o)
		if g.err != nil && ctx.Err() == nil {
			s.Log.Error("seeding failed", "folder", folder, "err", g.err)
		}
		close(g.done)
	}
}

// dir returns where this process has a folder of the workspace.
func (s Sidecar) dir(folder string) string {
	switch {
	case s.WorkspaceDir == "":
		return folder
	case slices.Contains(s.Config.Volumes, folder):
		return filepath.Join(s.WorkspaceDir, config.VolumeFolder(folder))
	default:
		return filepath.Join(s.WorkspaceDir, config.RootFolder(folder))
	}
}

// others are the paths that are no part of the folders that they lie in.
func (s Sidecar) others() []string {
	others := append(s.Config.Folders(), s.Config.Excluded...)
	slices.Sort(others)
	return slices.Compact(others)
}

func (s Sidecar) seed(ctx context.Context, folder string, o *owner) error {
	sum := sha256.Sum256([]byte(folder))
	marker := filepath.Join(s.StateDir, "seeded", hex.EncodeToString(sum[:16]))
	_, err := os.Stat(marker)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	nested := receiver.Nested(s.others(), folder)
	if s.Config.SeedFrom != "" {
		tree := seed.Tree{Image: s.Config.SeedFrom, From: folder, To: s.dir(folder), Exclude: nested}
		if err := seedOne(ctx, tree, s.Log); err != nil {
			return err
		}
	}
	if err := give(ctx, s.dir(folder), nested, o); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
		return fmt.Errorf("noting that %s is seeded: %w", folder, err)
	}
	if err := os.WriteFile(marker, []byte(folder+"\n"), 0o600); err != nil {
		return fmt.Errorf("noting that %s is seeded: %w", folder, err)
	}
	return nil
}

// give gives a fresh folder to the user of the dev container: the kubelet
// makes folders as root, and images often keep their files as root although
// another user runs.
func give(ctx context.Context, folder string, exclude []string, o *owner) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := o.wait(ctx)
	if err != nil || uid == 0 {
		return err
	}
	return seed.Give(ctx, folder, uid, gid, exclude)
}

// prepareRoot waits until a root is seeded and its owner known. It returns the
// owner when it is not whoever this process runs as.
func (s Sidecar) prepareRoot(ctx context.Context, root string, all seedings, o *owner) (*engine.Owner, error) {
	if err := all.wait(ctx, root); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", root, err)
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	uid, gid, err := o.wait(ctx)
	if err != nil || uid == os.Geteuid() && gid == os.Getegid() {
		return nil, err
	}
	return &engine.Owner{UID: uid, GID: gid}, nil
}
