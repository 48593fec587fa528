// Package manifest reads okteto.yaml: types, defaults, strict parsing with
// line numbers, variable expansion and validation. It is pure: files and
// variables come in through functions, and only Load and Discover, which
// supply those functions, touch the file system.
package manifest

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"go.yaml.in/yaml/v3"
)

// Manifest is one parsed okteto.yaml.
type Manifest struct {
	// Path is the file that it was read from; empty for a manifest made by
	// Default.
	Path string
	// Dir is the folder that relative paths of the manifest refer to: the
	// manifest's own, or its parent when it sits in a folder .okteto.
	Dir string
	// Name is the root field name; empty when unset.
	Name string
	// Dev holds the development containers by name.
	Dev map[string]*Dev
	// Forward are the root forwards, which every dev session opens.
	Forward []Forward
	// Sections are the root sections that `up` does not need, kept as
	// parsed YAML without aliases: build, deploy, destroy, test,
	// dependencies, external, icon.
	Sections map[string]*yaml.Node
	// Warnings are findings that do not stop anything, each a sentence with
	// its line, such as a field that this version does not apply.
	Warnings []string
}

// Dev is one development container: `dev.<name>`.
type Dev struct {
	// Name is the key in the manifest, sanitised to a DNS label.
	Name string
	// Workload is the workload to develop, as name or kind/name: the field
	// name, or Name when there is none.
	Workload string
	// Paths are where a custom resource has what a swap needs.
	Paths Paths `json:",omitzero"`
	// Selector finds the workload by labels instead of by name.
	Selector map[string]string
	// Container is the container to replace; empty means the one that kubectl
	// takes where none is named.
	Container string
	// Image replaces the container's image; empty keeps it.
	Image string
	// ImagePullPolicy of the dev container; empty means IfNotPresent.
	ImagePullPolicy corev1.PullPolicy
	// Command is what `up` runs; never empty after parsing.
	Command Command
	// Workdir is the working directory in the container; empty keeps the
	// image's.
	Workdir string
	// Mode says where the code runs; empty means ModeSync.
	Mode Mode `json:",omitempty"`
	// Network is how the command reaches the cluster in hybrid mode; empty in
	// sync mode.
	Network Network `json:",omitempty"`
	// LocalDir is where the command runs on the laptop in hybrid mode, absolute
	// after parsing; empty in sync mode.
	LocalDir string `json:",omitempty"`
	// Environment is added to the container's, and wins over it; sorted by
	// name. What the env files set is in it already.
	Environment []EnvVar
	// EnvFiles are the absolute paths of the dotenv files that Environment
	// was filled up from; a later one wins over an earlier one.
	EnvFiles []string
	// Sync are the folders to sync.
	Sync []SyncFolder
	// GitIgnore lets the .gitignore files of the folders to sync count.
	GitIgnore bool
	// Forward are local ports that lead to the pod or a Service.
	Forward []Forward
	// Reverse are ports of the pod that lead to the laptop.
	Reverse []Reverse
	// Interface is the local address that forwards bind; "localhost" by
	// default.
	Interface string
	// Remote is the local port for SSH; 0 means none.
	Remote int
	// SSHServerPort is the agent's port in the pod; 0 means 2222.
	SSHServerPort int
	// Resources of the dev container; what is unset keeps the original's.
	Resources corev1.ResourceRequirements
	// Timeout bounds the waiting.
	Timeout Timeout
	// AutoDown is after what time without a laptop the cluster gives the
	// workload back by itself: 8 h unless set, 0 for never.
	AutoDown time.Duration
	// Metadata is added to what `up` creates.
	Metadata Metadata
	// Agent is the agent's image and resources: the field initContainer.
	Agent Agent
	// PersistentVolume is the claim for the workspace; it is enabled when
	// the manifest has that section, names Volumes, or has services that share
	// folders.
	PersistentVolume PersistentVolume
	// Volumes are remote paths that live on the claim, absolute and clean.
	Volumes []string
	// ExternalVolumes are claims that exist already, and where they are
	// mounted.
	ExternalVolumes []ExternalVolume
	// Secrets are files of the laptop that a Kubernetes Secret brings into
	// the dev container.
	Secrets []Secret
	// Autocreate makes the workload when there is none.
	Autocreate bool
	// Probes of the container that the dev container keeps.
	Probes Probes `json:",omitzero"`
	// Lifecycle says what becomes of the container's hooks.
	Lifecycle Lifecycle `json:",omitzero"`
	// Pod are the pod-level fields that are applied as they stand.
	Pod PodFields
	// Services are further workloads that run the same code, detached. Each is
	// a Dev of the same Name that has of these fields only Workload, Selector,
	// Container, Image, ImagePullPolicy, Command, which is empty where the
	// container keeps its own, Workdir, Environment, Resources, Timeout,
	// Metadata, Pod, and what follows.
	Services []*Dev `json:",omitempty"`
	// Args are a service's arguments; nil keeps the container's, unless it has
	// a Command.
	Args []string `json:",omitempty"`
	// Replicas is the number of a service's pods; nil keeps the workload's.
	Replicas *int32 `json:",omitempty"`
	// Shared are the folders of the claim that a service has.
	Shared []Shared `json:",omitempty"`
}

// Shared is a folder of the development container's claim in a service.
type Shared struct {
	// Root is a sync folder's or, with Volume, a volume's path in the
	// development container; Sub is a folder of it, "." for the whole.
	Root, Sub string
	Volume    bool
	// Remote is where the service has it, absolute and clean.
	Remote string
}

// Command is a command line. Shell is true when it was written as one string
// with spaces: it runs as `sh -c`.
type Command struct {
	// Argv is the command; with Shell one element, the text.
	Argv  []string
	Shell bool
}

// Mode says where the code of a development container runs.
type Mode string

// Modes of development.
const (
	// ModeSync runs the code in the pod, where it is synced to.
	ModeSync Mode = "sync"
	// ModeHybrid runs the code on the laptop, and the pod stands in for it.
	ModeHybrid Mode = "hybrid"
)

// Network says how a command on the laptop reaches the cluster by its names.
type Network string

// Kinds of Network.
const (
	// NetworkProxy tells the command of a proxy and a name server.
	NetworkProxy Network = "proxy"
	// NetworkNamespace gives the command a network namespace of its own, on Linux.
	NetworkNamespace Network = "namespace"
	// NetworkNone leaves the command with its forwards.
	NetworkNone Network = "none"
)

// Paths lead to parts of a custom resource, as names joined by dots. An empty
// one is where most have that part.
type Paths struct {
	// Template leads to the pod template.
	Template string `json:"template,omitempty"`
	// Replicas leads to the number of its pods, and Suspend to what is true
	// when it shall have none; at most one of them is set.
	Replicas string `json:"replicas,omitempty"`
	Suspend  string `json:"suspend,omitempty"`
}

// EnvVar is a name with its value.
type EnvVar struct{ Name, Value string }

// SyncFolder maps a folder of the laptop to a folder of the dev container.
type SyncFolder struct {
	// Local is absolute after parsing; Remote is absolute and clean.
	Local, Remote string
	// Mode is empty where the manifest names none, which is SyncTwoWay.
	Mode SyncMode
}

// SyncMode says which side of a sync may change the other.
type SyncMode string

// Modes of a sync folder.
const (
	// SyncTwoWay carries changes both ways.
	SyncTwoWay SyncMode = "two-way"
	// SyncPush makes the pod's folder what the laptop's is.
	SyncPush SyncMode = "push"
	// SyncPull makes the laptop's folder what the pod's is.
	SyncPull SyncMode = "pull"
)

// Forward leads from a local port to a port of the pod, or of a Service when
// Service or Labels is set. Paths of unix sockets may take the place of ports.
type Forward struct {
	// Local and Remote are ports, 1 to 65535; 0 where there is a socket.
	Local, Remote int
	// LocalSocket and RemoteSocket are absolute paths.
	LocalSocket, RemoteSocket string
	// Protocol is UDP, or empty for TCP.
	Protocol Protocol
	// Service is the name of a Service; Labels select one.
	Service string
	Labels  map[string]string
}

// Reverse leads from a port of the pod to a port of the laptop. Paths of unix
// sockets may take the place of ports.
type Reverse struct {
	// Remote and Local are ports, 1 to 65535; 0 where there is a socket.
	Remote, Local int
	// RemoteSocket and LocalSocket are absolute paths.
	RemoteSocket, LocalSocket string
	// Protocol is UDP, or empty for TCP.
	Protocol Protocol
}

// Protocol is that of ports; empty means TCP.
type Protocol string

// UDP is the only one that has to be named.
const UDP Protocol = "udp"

// Timeout bounds the waiting of `up`.
type Timeout struct {
	// Default bounds requests and connecting: 60 s unless set.
	Default time.Duration
	// Resources bounds the wait for the pod: 120 s unless set.
	Resources time.Duration
}

// Metadata is added to objects that `up` creates.
type Metadata struct{ Labels, Annotations map[string]string }

// Agent is the field initContainer.
type Agent struct {
	// Image is the agent's image; empty means the plugin's default.
	Image     string
	Resources corev1.ResourceRequirements
}

// PersistentVolume describes the claim of the workspace. A claim is made only
// where the manifest names this section or Volumes; else the workspace is an
// emptyDir.
type PersistentVolume struct {
	// Enabled is true when the manifest asks for a claim.
	Enabled      bool
	AccessMode   corev1.PersistentVolumeAccessMode
	Size         string
	StorageClass string
	VolumeMode   corev1.PersistentVolumeMode
	Annotations  map[string]string
	Labels       map[string]string
}

// ExternalVolume mounts a claim that exists already in the dev container.
type ExternalVolume struct {
	// Claim is the claim's name; SubPath a folder of it, empty for the whole.
	Claim, SubPath string
	// Mount is absolute and clean.
	Mount string
}

// Secret is a file of the laptop that the dev container gets, read-only.
type Secret struct {
	// Local is absolute after parsing; Remote is absolute and clean.
	Local, Remote string
	// Mode are the file's permissions: 0644 unless set.
	Mode int32
}

// Probes says which probes of the container are kept; none by default, because
// the process that they ask does not run yet.
type Probes struct{ Liveness, Readiness, Startup bool }

// Lifecycle says what becomes of each hook of the container.
type Lifecycle struct{ PostStart, PreStop Hook }

// Hook says what becomes of one hook; the zero value keeps the container's.
type Hook struct {
	// Removed takes the hook away.
	Removed bool
	// Command replaces the hook, unless Argv is empty.
	Command Command
}

// PodFields are fields of the pod template that replace or extend the
// original's; what is nil or empty keeps the original's.
type PodFields struct {
	Affinity          *corev1.Affinity
	NodeSelector      map[string]string
	Tolerations       []corev1.Toleration
	ServiceAccount    string
	PriorityClassName string
	SecurityContext   *SecurityContext
}

// SecurityContext is the field securityContext: container fields and fsGroup.
type SecurityContext struct {
	RunAsUser                *int64
	RunAsGroup               *int64
	FSGroup                  *int64
	RunAsNonRoot             *bool
	AllowPrivilegeEscalation *bool
	ReadOnlyRootFilesystem   *bool
	Capabilities             *corev1.Capabilities
}
