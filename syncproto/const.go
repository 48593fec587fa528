// Package syncproto is the wire of file sync: the hello, the frames and the
// messages that SPEC.md describes. It takes an io.ReadWriteCloser, dials
// nothing and starts no goroutine. What the messages mean for a tree is the
// work of the packages below this one.
package syncproto

// Version is the protocol version of this package (SPEC.md, Versions).
const Version = 1

// magic opens every hello. Its bytes cannot begin a line of text, and a
// transport that translates line ends or strips the eighth bit damages it.
const magic = "\x89OKS\r\n\x1a\n"

// TempPrefix begins the name of every temporary file that an end makes inside
// a root. Such names are invisible to scans whatever the ignore patterns say,
// and leftovers are removed when a root is opened.
const TempPrefix = ".okteto-tmp-"

// IgnoreFile is the file of ignore patterns in the laptop's root. It belongs
// to the laptop and is not synced.
const IgnoreFile = ".stignore"

// Limits of the wire (SPEC.md, Limits). Each is checked before anything is
// allocated for the value that it bounds.
const (
	// MaxPayload bounds a frame's payload, compressed or not, in bytes.
	MaxPayload = 1048576
	// MaxPath bounds a path in bytes; a deep tree may exceed PATH_MAX.
	MaxPath = 32768
	// MaxName bounds one component of a path in bytes.
	MaxName = 255
	// MaxTarget bounds the target of a symlink in bytes.
	MaxTarget = 4096
	// MaxText bounds a human-readable text and a root's name in bytes.
	MaxText = 4096
	// MaxBuild bounds the build string of a hello in bytes.
	MaxBuild = 255
	// MaxIgnore bounds the ignore patterns of one message in bytes.
	MaxIgnore = 524288
	// MaxItems bounds the list of one message.
	MaxItems = 16384
	// MaxEntries bounds the entries of a tree that an end reports.
	MaxEntries = 4194304
	// MaxTreeText bounds the paths and symlink targets of all entries of a tree
	// that an end reports, in bytes together.
	MaxTreeText = 536870912
	// MaxInline bounds the content that a change carries itself, in bytes.
	MaxInline = 262144
	// MaxPiece bounds the content of one data message, in bytes.
	MaxPiece = 262144
	// MaxChunks bounds the chunks of one chunk list message.
	MaxChunks = 4096
	// MaxTrashBatches bounds the batches of a trash list.
	MaxTrashBatches = 1024
	// MaxTrashPaths bounds the paths that a trash list names of a batch.
	MaxTrashPaths = 3
	// MaxFailures bounds the paths that an answer to an undo names.
	MaxFailures = 256
	// WindowBatches bounds the batches that wait for an ack.
	WindowBatches = 16
	// WindowRequests bounds the requests, for pieces and for chunks, that wait
	// for their answers.
	WindowRequests = 256
)

// Lengths of chunks in bytes (SPEC.md, Chunks). Both ends cut alike.
const (
	// ChunkMin bounds a chunk from below, but for the last of a content.
	ChunkMin = 65536
	// ChunkMax bounds a chunk from above.
	ChunkMax = 524288
)

// Type names a message on the wire.
type Type uint8

// Message types (SPEC.md, Messages).
const (
	TypeOpen      Type = 1
	TypeOpened    Type = 2
	TypeReport    Type = 3
	TypeBatch     Type = 4
	TypeAck       Type = 5
	TypeRequest   Type = 6
	TypeData      Type = 7
	TypeIgnore    Type = 8
	TypeNotice    Type = 9
	TypeStop      Type = 10
	TypeFlush     Type = 11
	TypeFlushed   Type = 12
	TypeChunks    Type = 13
	TypeChunkList Type = 14
	TypeTrash     Type = 15
	TypeTrashList Type = 16
	TypeUndo      Type = 17
	TypeUndone    Type = 18
)

// Frame flags.
const (
	// FlagZstd marks a payload that is a length and a zstd frame.
	FlagZstd = 1
)

// Flags of an opened message.
const (
	// OpenedSame means that the follower's tree has the digest that the leader
	// named in its open message, so that no full report follows.
	OpenedSame = 1
	// OpenedNoModes means that the follower's file system keeps no permission
	// bits: the modes that it reports say nothing.
	OpenedNoModes = 2
	// OpenedFoldCase means that the follower's file system takes names for one
	// that differ only in case or in the normalization of Unicode.
	OpenedFoldCase = 4
)

// Flags of a report message.
const (
	// ReportFull marks the first message of a full report: what the leader knew
	// of the follower's tree before is void.
	ReportFull = 1
	// ReportMore means that the report goes on in the next report message.
	ReportMore = 2
)

// EntryType says what an entry is.
type EntryType uint8

// Entry types.
const (
	EntryAbsent  EntryType = 0
	EntryFile    EntryType = 1
	EntryDir     EntryType = 2
	EntrySymlink EntryType = 3
)

// Op says what a change does.
type Op uint8

// Operations of a change.
const (
	OpPut     Op = 1
	OpDelete  Op = 2
	OpMkdir   Op = 3
	OpSymlink Op = 4
	OpChmod   Op = 5
)

// Flags of a change.
const (
	// ChangeInline means that the content follows in the change itself.
	ChangeInline = 1
	// ChangeKeep means that what the change removes was agreed by nobody: it
	// must be in the trash before it goes, or the change is refused.
	ChangeKeep = 2
	// ChangeFirst means that the change belongs to a first meeting.
	ChangeFirst = 4
)

// UndoAbsent is a flag of an undo message: bring back only what has nothing in
// its place now.
const UndoAbsent = 1

// Why says why something is in a trash; a batch may hold several reasons.
type Why uint8

// Reasons.
const (
	// WhyDeleted: the other side deleted it.
	WhyDeleted Why = 1
	// WhyOverwritten: the other side changed it.
	WhyOverwritten Why = 2
	// WhyFirst: it differed when both sides met first.
	WhyFirst Why = 4
	// WhyConflict: it was changed here too, and was agreed by nobody.
	WhyConflict Why = 8
	// WhyUndone: an undo replaced it.
	WhyUndone Why = 16
)

// Code is the result of a change or of a request.
type Code uint8

// Results.
const (
	// CodeOK: done, or already so.
	CodeOK Code = 0
	// CodeChanged: the entry on disk is not the one that the sender believed.
	CodeChanged Code = 1
	// CodeContent: the content named by the digest could not be had.
	CodeContent Code = 2
	// CodeNotEmpty: a folder still holds entries that sync does not see.
	CodeNotEmpty Code = 3
	// CodeDiskFull: no space or no quota left.
	CodeDiskFull Code = 4
	// CodeReadOnly: the file system is read-only.
	CodeReadOnly Code = 5
	// CodeDenied: the operating system forbids it.
	CodeDenied Code = 6
	// CodeInvalid: the path or the entry cannot exist at the receiver.
	CodeInvalid Code = 7
	// CodeIgnored: the receiver ignores the path.
	CodeIgnored Code = 8
	// CodeFailed: any other failure; the text says which.
	CodeFailed Code = 9
)

// NoticeKind says what a notice is about.
type NoticeKind uint8

// Kinds of notice.
const (
	// NoticeSkipped: the path is not synced, for the reason in the text.
	NoticeSkipped NoticeKind = 1
	// NoticeWarning: the text should reach the user.
	NoticeWarning NoticeKind = 2
	// NoticeStopped: the sender of the notice cannot use its root.
	NoticeStopped NoticeKind = 3
	// NoticeResumed: the reason of the last NoticeStopped passed.
	NoticeResumed NoticeKind = 4
)

// StopCode says why an end closes the session.
type StopCode uint8

// Reasons to stop.
const (
	// StopProtocol: the other end broke a rule of SPEC.md.
	StopProtocol StopCode = 1
	// StopRoot: the root is not served or cannot be opened.
	StopRoot StopCode = 2
	// StopReplaced: a newer session took the root over.
	StopReplaced StopCode = 3
	// StopFailed: an error of the stopping end; the text says which.
	StopFailed StopCode = 4
	// StopClosed: the end is going away in good order.
	StopClosed StopCode = 5
)
