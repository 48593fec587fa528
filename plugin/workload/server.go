package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
)

// The minor versions of Kubernetes 1 that matter here.
const (
	// minMinor is the first with native sidecars on by default.
	minMinor = 29
	// imageVolumeMinor is the first with image volumes on by default.
	imageVolumeMinor = 35
)

// Server is what the API server can do.
type Server struct {
	// Version is its own word: v1.36.3.
	Version string
	// ImageVolumes is true when a pod can mount an image as a volume. The
	// nodes may still be older.
	ImageVolumes bool
}

// Server asks the API server for its version. It depends on nothing else:
// run it beside Find. An older server than 1.29 is a VersionError; one that
// does not tell its version is taken for a new one without image volumes.
func (c *Client) Server(ctx context.Context) (Server, error) {
	raw, err := c.Kube.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return Server{}, nil
	}
	if err != nil {
		return Server{}, fmt.Errorf("asking the server for its version: %w", err)
	}
	var v version.Info
	if err := json.Unmarshal(raw, &v); err != nil {
		return Server{}, fmt.Errorf("reading the server's version: %w", err)
	}
	return serverOf(v)
}

// serverOf decides from a version. Some providers write the minor as "29+".
func serverOf(v version.Info) (Server, error) {
	major, err1 := strconv.Atoi(strings.TrimRight(v.Major, "+"))
	minor, err2 := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	s := Server{Version: v.GitVersion}
	switch {
	case err1 != nil || err2 != nil:
		return s, nil
	case major < 1 || major == 1 && minor < minMinor:
		return s, &VersionError{Have: v.GitVersion}
	}
	s.ImageVolumes = major > 1 || minor >= imageVolumeMinor
	return s, nil
}
