//go:build !linux

package probe

import (
	"fmt"
	"time"
)

// await returns the moment at which arrived is true, looking all the time: a
// core is what a prompt answer costs here. It calls armed before.
func await(folder string, armed func() error, arrived func() bool) (time.Time, error) {
	if err := armed(); err != nil {
		return time.Time{}, err
	}
	for end := time.Now().Add(patience); !arrived(); {
		if time.Now().After(end) {
			return time.Time{}, fmt.Errorf("nothing was seen in %q within %v", folder, patience)
		}
	}
	return time.Now(), nil
}
