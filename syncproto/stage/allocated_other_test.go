//go:build !unix

package stage

import "testing"

// allocated is not known here.
func allocated(*testing.T, string) int64 { return 0 }
