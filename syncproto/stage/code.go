package stage

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// Reasons to refuse a change that are not the operating system's.
var (
	// errChanged means that the path is not what the sender believed.
	errChanged = errors.New("changed meanwhile")
	// errContent means that content does not have the digest it should have.
	errContent = errors.New("content is not the one that was announced")
	// errInvalid means that the path or entry cannot exist here.
	errInvalid = errors.New("not a valid path here")
)

// ContentError wraps err as the failure to get the content of a put, which is
// no fault of the receiver's disk.
func ContentError(err error) error { return errors.Join(errContent, err) }

// result turns an error of a change into the result that the sender hears.
func result(err error) syncproto.Result {
	if err == nil {
		return syncproto.Result{Code: syncproto.CodeOK}
	}
	return syncproto.Result{Code: code(err), Text: err.Error()}
}

func code(err error) syncproto.Code {
	switch {
	case errors.Is(err, errContent):
		return syncproto.CodeContent
	case errors.Is(err, errChanged), errors.Is(err, fs.ErrExist) && !isNotEmpty(err), isNotDir(err), errors.Is(err, syscall.EISDIR):
		return syncproto.CodeChanged
	case isNotEmpty(err):
		return syncproto.CodeNotEmpty
	case IsDiskFull(err):
		return syncproto.CodeDiskFull
	case isReadOnly(err):
		return syncproto.CodeReadOnly
	case errors.Is(err, fs.ErrPermission):
		return syncproto.CodeDenied
	case errors.Is(err, errInvalid), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		return syncproto.CodeInvalid
	default:
		return syncproto.CodeFailed
	}
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
