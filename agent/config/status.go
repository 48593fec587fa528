package config

import "time"

// ContainerGone begins the message of the exit signal (RFC 4254, section 6.10)
// of a session whose dev container ended under it: a crash, an out-of-memory
// kill, a restart. By it a client tells that from a signal to the command.
const ContainerGone = "the dev container is gone"

// Status is what the sidecar tells about itself: the status subsystem writes
// it as one JSON line at once and again at each change.
type Status struct {
	// Version is the agent's version.
	Version string `json:"version"`
	// Started is when the sidecar started.
	Started time.Time `json:"started"`
	// Runner is the state of the dev container's PID 1.
	Runner RunnerStatus `json:"runner"`
	// Roots are the sync targets in the order of the configuration.
	Roots []RootStatus `json:"roots"`
	// Clients is the number of SSH connections.
	Clients int `json:"clients"`
	// Sessions is the number of SSH sessions that run a command.
	Sessions int `json:"sessions"`
}

// RunnerStatus tells about the dev container.
type RunnerStatus struct {
	// Running is true while the runner answers on its socket.
	Running bool `json:"running"`
	// Started is when this runner started; zero when none ever did.
	Started time.Time `json:"started,omitzero"`
	// Starts counts the runners seen since the sidecar started: more than
	// one means that the dev container was restarted, after a crash or an
	// out-of-memory kill.
	Starts int `json:"starts"`
	// UID and GID are the user and group of the dev container's processes.
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// RootStatus tells about one sync target.
type RootStatus struct {
	// Path is the root in the pod.
	Path string `json:"path"`
	// State is the sync state: waiting (no laptop is connected), scanning,
	// syncing, converged or stopped.
	State string `json:"state"`
	// Reason says why sync stopped; empty otherwise.
	Reason string `json:"reason,omitempty"`
	// Files and Bytes describe the tree: entries that are regular files and
	// the sum of their sizes.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Generation is the laptop's generation that was applied last.
	Generation uint64 `json:"generation"`
}
