package engine

import "time"

// State says what an end is doing.
type State string

// States of an end.
const (
	// Waiting: no session, the other end is not connected.
	Waiting State = "waiting"
	// Scanning: one of the two roots is being read.
	Scanning State = "scanning"
	// Syncing: changes are on their way.
	Syncing State = "syncing"
	// Converged: both sides have the same entries.
	Converged State = "converged"
	// Stopped: sync goes on when the reason passes or somebody decides.
	Stopped State = "stopped"
	// Paused: somebody paused sync; it goes on when it is resumed.
	Paused State = "paused"
)

// Status is a moment of one end.
type Status struct {
	State State
	// Reason says why sync stopped, and would stop again if it is paused; empty
	// otherwise.
	Reason string
	// Files and Bytes describe this side's tree: its regular files, and the sum
	// of their sizes.
	Files int
	Bytes int64
	// PendingFiles and PendingBytes are the changes that are not done yet, in
	// both directions. A follower does not know them.
	PendingFiles int
	PendingBytes int64
	// Oldest is when the oldest of them was noticed; zero when nothing is pending.
	Oldest time.Time
	// DoneFiles and DoneBytes are the changes that were done since the leader was
	// made; DoneBytes includes what is done of files that travel in pieces.
	DoneFiles int
	DoneBytes int64
	// Current is a path that is on its way; empty when none is.
	Current string
	// Traffic is what went over the wire since the leader was made.
	Traffic Traffic
	// Generation counts what the laptop changed: that of a leader is acked by
	// the pod, that of a follower is applied.
	Generation uint64
	// Conflicts are the conflict copies that exist, root-relative and sorted.
	Conflicts []string
	// Held are the paths that could not be changed on a side, with the reason,
	// sorted. They are tried again.
	Held []string
}

// EventKind says what an event is about.
type EventKind int

// Kinds of event.
const (
	// StateChanged: State is the new state, Detail the same with its reason, if it
	// has one, as text.
	StateChanged EventKind = iota
	// Conflict: both sides changed Path; Detail is the conflict copy's path.
	Conflict
	// Skipped: Path is not synced; Detail says why.
	Skipped
	// Warning: Detail should reach the user.
	Warning
	// Applied: a change of Path was applied on one side; Detail is "laptop" or
	// "pod".
	Applied
)

// Event is something that a user may want to know.
type Event struct {
	Kind   EventKind
	Path   string // root-relative; empty when it concerns the whole root
	Detail string
	State  State // of StateChanged
}
