//go:build !linux

package stage

import "context"

// create is write for a content that came with its change.
func (s *Stage) create(ctx context.Context, t target) error { return s.write(ctx, t, nil) }
