package tree

import "os"

// directory is an open folder of a root. What it does by a name follows no symlink.
type directory interface {
	at(name string) place
	// names lists the folder, in no order.
	names() ([]listed, error)
	Close() error
}

// listed is a name that a folder holds.
type listed struct {
	name string
	dir  bool // it is a folder
}

// rootDirectory is a folder behind an os.Root.
type rootDirectory struct {
	*os.Root
	list *os.File
}

func (f rootDirectory) at(name string) place { return inFolder{f.Root, name} }

func (f rootDirectory) names() ([]listed, error) {
	list, err := f.list.ReadDir(-1)
	names := make([]listed, len(list))
	for i, d := range list {
		names[i] = listed{d.Name(), d.IsDir()}
	}
	return names, err
}

func (f rootDirectory) Close() error {
	_ = f.list.Close()
	return f.Root.Close()
}

// rootDirectory opens a folder for a scan where the system knows no quicker way.
func (r *Root) rootDirectory(p string) (directory, error) {
	dir, err := r.OpenFolder(p)
	if err != nil {
		return nil, err
	}
	list, err := dir.Open(".")
	if err == nil && p != "" && r.isMounted(list) {
		_ = list.Close()
		err = ErrMounted
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return rootDirectory{dir, list}, nil
}
