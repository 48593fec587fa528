// Package config is the contract between the two binaries: the plugin renders
// it into the pod template, the agent parses it from its command line. One type
// does both, so that neither side can drift from the other.
package config

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Names and places in the pod of a development container. The pod template
// that plugin/workload renders and the agent both rely on them.
const (
	// SidecarContainer is the name of the native sidecar container.
	SidecarContainer = "okteto-agent"
	// SeedContainer is the name of the init container that seeds the
	// workspace on servers without image volumes.
	SeedContainer = "okteto-seed"
	// ImagePath is where the agent binary is in the agent image.
	ImagePath = "/agent"
	// BinDir is the volume that carries the agent binary into the dev
	// container.
	BinDir = "/var/okteto/bin"
	// RunDir is the volume that both containers share for the runner's
	// socket.
	RunDir = "/var/okteto/run"
	// WorkspaceDir is where the sidecar has the workspace's volume as a whole.
	// The dev container has only folders of it: what else is there cannot be
	// seen from it. One mount lets the sidecar link a file from the workspace
	// into the trash, which is not possible between two mounts even of one
	// volume.
	WorkspaceDir = "/var/okteto/workspace"
	// StateDir is the sidecar's own folder on that volume: host key, authorized
	// keys that were added later, sync index, trash.
	StateDir = WorkspaceDir + "/state"
	// ImageDir is where the sidecar sees the dev image's own files, read
	// only, to seed the workspace from them.
	ImageDir = "/var/okteto/image"
	// DefaultPort is the port of the SSH server on the pod's loopback.
	DefaultPort = 2222

	// SubsystemSync is the SSH subsystem that speaks syncproto.
	SubsystemSync = "sync"
	// SubsystemStatus is the SSH subsystem that writes a Status as one JSON
	// line at once and again at each change.
	SubsystemStatus = "status"
	// SubsystemSFTP is the SFTP subsystem, served inside the dev container.
	SubsystemSFTP = "sftp"
	// SubsystemSession is the SSH subsystem that speaks the protocol of
	// agent/attach: sessions that outlive connections.
	SubsystemSession = "session"
	// SubsystemEnvironment is the SSH subsystem that writes the environment of
	// the dev container: each NAME=value ended by a zero byte, and an empty one
	// at the end of all.
	SubsystemEnvironment = "environment"
	// SubsystemMounts is the SSH subsystem that speaks the protocol of
	// agent/mounts.
	SubsystemMounts = "mounts"
	// SubsystemResolver is the SSH subsystem that writes the pod's resolv.conf.
	SubsystemResolver = "resolver"
	// PingRequest is a global SSH request that the agent answers with
	// success.
	PingRequest = "dev.okteto.com/ping"

	// DirectUDP and ForwardedUDP are the channels of UDP's flows, UDPForward
	// and CancelUDPForward the requests for the latter; datagram/SPEC.md says
	// what they carry.
	DirectUDP        = "direct-udp@dev.okteto.com"
	ForwardedUDP     = "forwarded-udp@dev.okteto.com"
	UDPForward       = "udp-forward@dev.okteto.com"
	CancelUDPForward = "cancel-udp-forward@dev.okteto.com"
)

//go:embed VERSION
var version string

// Version returns the version of the product, without a leading v. Both
// binaries and the tag of the agent image carry it.
func Version() string { return strings.TrimSpace(version) }

// Root is one sync target in the pod.
type Root struct {
	// Path is the absolute, clean path of the root in the dev container.
	Path string
}

// RootFolder returns the folder of a sync root on the workspace's volume. It
// is named after the root's path, not its number: a claim must not show one
// root's files at another's path after the manifest's order changed.
func RootFolder(path string) string { return "src/" + escape(path) }

// VolumeFolder returns the folder of an entry of `volumes` likewise.
func VolumeFolder(path string) string { return "data/" + escape(path) }

// escape makes one file name of a path, as JSON Pointer does (RFC 6901).
func escape(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(strings.TrimPrefix(path, "/"))
}

// Sidecar configures the agent's sidecar role.
type Sidecar struct {
	// Port is the port of the SSH server on 127.0.0.1; 0 means DefaultPort.
	Port int
	// AuthorizedKeys are the public keys that may log in, each one line of
	// OpenSSH's authorized_keys format (sshd(8)). Empty means that only keys
	// added later by the authorize role may.
	AuthorizedKeys []string
	// Roots are the sync targets that the sync subsystem serves.
	Roots []Root
	// Volumes are folders that are kept beside the roots or inside of them.
	Volumes []string
	// Excluded are the paths inside the roots where the dev container has
	// something else mounted, volumes included: sync leaves them alone.
	Excluded []string
	// SeedFrom is the folder that holds the dev image's own files, from which
	// fresh roots and volumes are seeded before a root is served; "" means no
	// seeding.
	SeedFrom string
}

// Args renders the command line of the sidecar role; ParseSidecar is its
// inverse.
func (s Sidecar) Args() []string {
	args := []string{"sidecar"}
	if s.Port != 0 {
		args = append(args, "--port", strconv.Itoa(s.Port))
	}
	for _, k := range s.AuthorizedKeys {
		args = append(args, "--authorized-key", k)
	}
	for _, r := range s.Roots {
		args = append(args, "--root", r.Path)
	}
	for _, v := range s.Volumes {
		args = append(args, "--volume", v)
	}
	for _, e := range s.Excluded {
		args = append(args, "--exclude", e)
	}
	if s.SeedFrom != "" {
		args = append(args, "--seed-from", s.SeedFrom)
	}
	return args
}

// ParseSidecar parses what Args rendered, without the role's name.
func ParseSidecar(args []string) (Sidecar, error) {
	var s Sidecar
	fs := newFlagSet("sidecar")
	fs.IntVar(&s.Port, "port", 0, "port of the SSH server on 127.0.0.1")
	fs.Func("authorized-key", "public key that may log in", func(v string) error {
		s.AuthorizedKeys = append(s.AuthorizedKeys, v)
		return nil
	})
	folder := func(name, usage string, add func(string)) {
		fs.Func(name, usage, func(v string) error {
			if !path.IsAbs(v) || path.Clean(v) != v {
				return fmt.Errorf("%s %q is not an absolute, clean path", name, v)
			}
			add(v)
			return nil
		})
	}
	folder("root", "sync target", func(v string) { s.Roots = append(s.Roots, Root{Path: v}) })
	folder("volume", "folder that is kept", func(v string) { s.Volumes = append(s.Volumes, v) })
	folder("exclude", "path inside a root that is not its own", func(v string) { s.Excluded = append(s.Excluded, v) })
	fs.StringVar(&s.SeedFrom, "seed-from", "", "folder with the dev image's files")
	if err := parse(fs, args); err != nil {
		return Sidecar{}, err
	}
	if s.Port < 0 || s.Port > 65535 {
		return Sidecar{}, fmt.Errorf("port %d is not between 0 and 65535", s.Port)
	}
	return s, nil
}

// Folders returns the paths of the whole workspace: the volumes, then the
// roots.
func (s Sidecar) Folders() []string {
	folders := slices.Clone(s.Volumes)
	for _, r := range s.Roots {
		folders = append(folders, r.Path)
	}
	return folders
}

// ListenPort returns the port to listen on.
func (s Sidecar) ListenPort() int {
	if s.Port == 0 {
		return DefaultPort
	}
	return s.Port
}

// Seed configures the init container that seeds the workspace where the
// server has no image volumes: it runs in the dev image, with the workspace
// mounted elsewhere, and copies what the image has at each root.
type Seed struct {
	// Copies are the source folders and their targets, in order.
	Copies []Copy
}

// Copy is one folder to seed.
type Copy struct {
	// From is the folder in the image, To the empty folder in the workspace.
	From, To string
}

// Args renders the command line of the seed role; ParseSeed is its inverse.
func (s Seed) Args() []string {
	args := []string{"seed"}
	for _, c := range s.Copies {
		args = append(args, c.From, c.To)
	}
	return args
}

// ParseSeed parses what Args rendered, without the role's name.
func ParseSeed(args []string) (Seed, error) {
	if len(args)%2 != 0 {
		return Seed{}, errors.New("seed needs pairs of source and target folders")
	}
	var s Seed
	for i := 0; i < len(args); i += 2 {
		s.Copies = append(s.Copies, Copy{From: args[i], To: args[i+1]})
	}
	return s, nil
}

// Install configures what has to end before any container but the sidecar starts.
type Install struct {
	// Dir is where the program is copied to.
	Dir string
	// Folders are made for the agent's user, where the kubelet would make them for
	// root.
	Folders []string
}

// Args renders the command line of the install role; ParseInstall is its inverse.
func (i Install) Args() []string {
	return append([]string{"install", i.Dir}, i.Folders...)
}

// ParseInstall parses what Args rendered, without the role's name.
func ParseInstall(args []string) (Install, error) {
	if len(args) == 0 {
		return Install{}, errors.New("install needs a folder")
	}
	return Install{Dir: args[0], Folders: args[1:]}, nil
}

// RunnerCommand returns the command of the dev container: the runner as PID 1.
func RunnerCommand() []string { return []string{BinDir + "/agent", "runner"} }

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", fs.Name(), err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q", fs.Name(), fs.Arg(0))
	}
	return nil
}
