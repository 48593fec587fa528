package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Reasons that an error of this package may have besides single fields; test
// with errors.Is.
var (
	// ErrNotFound means that there is no manifest where it was looked for.
	ErrNotFound = errors.New("there is no okteto manifest")
	// ErrDirectory means that a folder was given in place of a file.
	ErrDirectory = errors.New("the manifest is a folder")
	// ErrEmpty means that the file has no content.
	ErrEmpty = errors.New("the manifest is empty")
	// ErrNotYAML means that the file cannot be read as YAML.
	ErrNotYAML = errors.New("the manifest is not valid YAML")
	// ErrNoKnownKey means that the file is YAML, but not a manifest.
	ErrNoKnownKey = errors.New("the file is not an okteto manifest")
	// ErrNoDev means that there is nothing to develop in the manifest.
	ErrNoDev = errors.New("the manifest has no dev section")
)

// maxReported bounds how many problems the text of an error shows.
const maxReported = 20

// Problem is one finding at one place of the manifest.
type Problem struct {
	// Line and Column count from 1; 0 means that the finding concerns the
	// whole file, or the whole line.
	Line, Column int
	// Message says what is wrong and, where it can, what to do.
	Message string
}

// in returns the problem with its place, as compilers write it.
func (p Problem) in(file string) string {
	switch {
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", file, p.Message)
	case p.Column == 0:
		return fmt.Sprintf("%s:%d: %s", file, p.Line, p.Message)
	default:
		return fmt.Sprintf("%s:%d:%d: %s", file, p.Line, p.Column, p.Message)
	}
}

// InvalidError lists all that is wrong with one manifest.
type InvalidError struct {
	// Path is the manifest's path; empty for a manifest made by Default.
	Path string
	// Problems has at least one element, sorted by place.
	Problems []Problem
	// Reason is one of the sentinels above; nil when single fields are
	// wrong.
	Reason error
}

// Error has one line for one problem, and a heading above several.
func (e *InvalidError) Error() string {
	file := displayName(e.Path)
	if len(e.Problems) == 1 {
		return e.Problems[0].in(file)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d problems:", file, len(e.Problems))
	for i, p := range e.Problems {
		if i == maxReported {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Problems)-i)
			break
		}
		b.WriteString("\n  " + p.in(file))
	}
	return b.String()
}

// Unwrap returns the Reason.
func (e *InvalidError) Unwrap() error { return e.Reason }

// NotFoundError means that there is no manifest in a folder, or at a path that
// was given. It is ErrNotFound.
type NotFoundError struct {
	// Dir is the folder that was searched; empty when a path was given.
	Dir string
	// Looked are the paths that were looked for, relative to Dir.
	Looked []string
}

func (e *NotFoundError) Error() string {
	if e.Dir == "" {
		return fmt.Sprintf("there is no okteto manifest at %s; check the path, or leave it out to search the current folder",
			strings.Join(e.Looked, ", "))
	}
	return fmt.Sprintf("there is no okteto manifest in %s (looked for %s); create one, or name it with -f",
		e.Dir, strings.Join(e.Looked, ", "))
}

// Is makes the error ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// UnknownDevError means that the manifest has no development container of a
// name.
type UnknownDevError struct {
	// Path is the manifest's path.
	Path string
	// Name is what was asked for; Known are the names that there are,
	// sorted.
	Name  string
	Known []string
}

func (e *UnknownDevError) Error() string {
	text := fmt.Sprintf("%s: development container %q doesn't exist", displayName(e.Path), e.Name)
	if near := Nearest(e.Name, e.Known); len(near) > 0 {
		return text + "; did you mean " + quoted(near, " or ") + "?"
	}
	return text + "; the manifest has " + quoted(e.Known, ", ")
}

// ChooseDevError means that a name is needed, because the manifest has several
// development containers.
type ChooseDevError struct {
	// Path is the manifest's path; Known are the names that there are,
	// sorted.
	Path  string
	Known []string
}

func (e *ChooseDevError) Error() string {
	return fmt.Sprintf("%s has %d development containers: name one of %s",
		displayName(e.Path), len(e.Known), quoted(e.Known, ", "))
}

// displayName is how messages call a manifest: a relative path as it was
// given, an absolute one by its last part.
func displayName(path string) string {
	switch {
	case path == "":
		return "the manifest"
	case !filepath.IsAbs(path):
		return filepath.ToSlash(path)
	case filepath.Base(filepath.Dir(path)) == ".okteto":
		return ".okteto/" + filepath.Base(path)
	default:
		return filepath.Base(path)
	}
}

// quoted joins names in quotes.
func quoted(names []string, separator string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(out, separator)
}

// sorted returns the problems by place, each once: an aliased node is read once
// for each place that names it.
func sorted(problems []Problem) []Problem {
	out := slices.Clone(problems)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(out)
}
