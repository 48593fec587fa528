package autodown

import (
	"context"
	"fmt"
	"net/http"
	"path"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
)

// makeAgain makes a pod again of what its clone remembers, unless there is one of
// its name. A clone that is gone was never there, or all is done.
func makeAgain(ctx context.Context, c config.AutoDown, s *Server) error {
	clone, err := s.get(ctx, c.Memory)
	if err != nil || clone.status == http.StatusNotFound {
		return err
	}
	md, err := metaOf(clone.object)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.Memory, err)
	}
	pod, err := restore.PodIn(md.Annotations)
	if err != nil {
		return fmt.Errorf("%s: %w: run `kubectl okteto down`", c.Memory, err)
	}
	now, err := s.get(ctx, c.Original)
	if err != nil {
		return err
	}
	fields, _ := now.object["metadata"].(map[string]any)
	switch {
	case now.status == http.StatusNotFound && !pod.Ended:
		if err := create(ctx, c, s, pod.Body); err != nil {
			return err
		}
	case fields["deletionTimestamp"] != nil:
		return fmt.Errorf("%s has not ended yet", c.Original)
	}
	return take(ctx, c.Original, s, s.get, func(m *restore.Meta, _ map[string]any) ([]byte, error) {
		return m.OwnersPatch(pod.Owners)
	})
}

// create makes the pod. The clone's goes first: a quota, a port or a claim may have
// room for one of them. Until it is gone that may be refused, and is tried again.
func create(ctx context.Context, c config.AutoDown, s *Server, pod []byte) error {
	if _, err := s.patch(ctx, c.Memory, restore.FieldManager, []byte(`{"spec":{"replicas":0}}`)); err != nil {
		return err
	}
	made, err := s.create(ctx, path.Dir(c.Original), restore.FieldManager, pod)
	if err == nil && made.status != http.StatusCreated {
		err = fmt.Errorf("making %s again: %v", c.Original, made.object["message"])
	}
	return err
}
