package devsession

import (
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// SyncStatus is what a session knows of sync. It is what `sync list -o json`
// prints.
type SyncStatus struct {
	// Name is the development container.
	Name string `json:"name"`
	// Connected tells whether there is a connection to the pod.
	Connected bool `json:"connected"`
	// Folders are the synced folders in the order of the manifest.
	Folders []FolderStatus `json:"folders"`
}

// FolderStatus is a moment of one synced folder.
type FolderStatus struct {
	// Local and Remote are the roots on this machine and in the pod.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// Mode says which side may change the other: two-way, push or pull. Empty
	// where that is not known.
	Mode string `json:"mode,omitempty"`
	// State is waiting (not connected), scanning, syncing, converged, stopped or
	// paused, Reason why it stopped, or would.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Files and Bytes are the regular files on this machine, and their size.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Progress is what is done and what is not.
	Progress
	// Wire is what went over the connection.
	Wire
	// Conflicts are conflict copies, Held paths that could not be changed on a
	// side, each with the reason. Both are relative to the roots.
	Conflicts []string `json:"conflicts,omitempty"`
	Held      []string `json:"held,omitempty"`
}

// Progress says how far sync is.
type Progress struct {
	// PendingFiles and PendingBytes are changes that are not done yet, in both
	// directions.
	PendingFiles int   `json:"pendingFiles"`
	PendingBytes int64 `json:"pendingBytes"`
	// LagSeconds is the age of the oldest of them.
	LagSeconds float64 `json:"lagSeconds"`
	// Current is a path that is on its way.
	Current string `json:"current,omitempty"`
	// DoneFiles and DoneBytes are the changes that were done since `up` began.
	DoneFiles int   `json:"doneFiles"`
	DoneBytes int64 `json:"doneBytes"`
}

// Wire says what went over the connection since `up` began, compressed, and how
// much a second does at the moment.
type Wire struct {
	SentBytes              int64 `json:"sentBytes"`
	ReceivedBytes          int64 `json:"receivedBytes"`
	SentBytesPerSecond     int64 `json:"sentBytesPerSecond"`
	ReceivedBytesPerSecond int64 `json:"receivedBytesPerSecond"`
}

// status returns the present state of a folder.
func (f *Folder) status(now time.Time) FolderStatus {
	s := f.Leader.Status()
	out := FolderStatus{
		Local: f.Local, Remote: f.Remote, Mode: f.Mode.String(), State: string(s.State), Reason: s.Reason,
		Files: s.Files, Bytes: s.Bytes,
		Progress: Progress{
			PendingFiles: s.PendingFiles, PendingBytes: s.PendingBytes, Current: s.Current,
			DoneFiles: s.DoneFiles, DoneBytes: s.DoneBytes,
		},
		Wire:      Wire{SentBytes: s.Traffic.Sent, ReceivedBytes: s.Traffic.Received},
		Conflicts: s.Conflicts, Held: s.Held,
	}
	if !s.Oldest.IsZero() {
		out.LagSeconds = max(now.Sub(s.Oldest), 0).Round(time.Millisecond).Seconds()
	}
	// What is over has a rate that only fades: nobody would look at it often
	// enough to see it do so.
	if out.PendingFiles > 0 {
		out.SentBytesPerSecond, out.ReceivedBytesPerSecond = int64(s.Traffic.SendRate), int64(s.Traffic.ReceiveRate)
	}
	return out
}

// syncStatus returns the present state of folders.
func (s *Session) syncStatus(folders []*Folder) SyncStatus {
	out := SyncStatus{Name: s.Name, Connected: s.link.connected(), Folders: []FolderStatus{}}
	now := time.Now()
	for _, f := range folders {
		out.Folders = append(out.Folders, f.status(now))
	}
	return out
}

// FolderUsage is what costs most in one synced folder. It is what `sync top
// -o json` prints.
type FolderUsage struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// Total is the whole folder, Paths what costs most in it.
	Total PathUsage   `json:"total"`
	Paths []PathUsage `json:"paths"`
}

// PathUsage is what one path costs, with everything below it.
type PathUsage struct {
	// Path is relative to the roots; "" for all of it. Folder tells that it is
	// one.
	Path   string `json:"path"`
	Folder bool   `json:"folder"`
	// Changes and Bytes are what sync applied since `up` began, Last is when it
	// did so last.
	Changes int64     `json:"changes"`
	Bytes   int64     `json:"bytes"`
	Last    time.Time `json:"last,omitzero"`
	// Files and Size are what this machine has there.
	Files int   `json:"files"`
	Size  int64 `json:"size"`
	// Why says what stands out: "chatty" or "big"; Ignore is the line that would
	// keep it out of sync.
	Why    string `json:"why,omitempty"`
	Ignore string `json:"ignore,omitempty"`
}

// usage returns what costs most in a folder.
func (f *Folder) usage(limit int) FolderUsage {
	top, whole := f.Leader.Top(limit)
	out := FolderUsage{Local: f.Local, Remote: f.Remote, Total: pathUsage(whole), Paths: []PathUsage{}}
	for _, u := range top {
		p := pathUsage(u)
		if p.Why = standsOut(u, whole); p.Why != "" {
			p.Ignore = ignoreLine(u)
		}
		out.Paths = append(out.Paths, p)
	}
	return out
}

func pathUsage(u engine.Usage) PathUsage {
	return PathUsage{
		Path: u.Path, Folder: u.Dir, Changes: u.Changes, Bytes: u.Bytes, Last: u.Last, Files: u.Files, Size: u.Size,
	}
}
