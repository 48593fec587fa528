package hybrid

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object, which ends its processes with its last handle.
type group struct {
	pid int
	job windows.Handle
}

func shell() []string { return []string{"cmd", "/C"} }

// run runs the first process of the job to its end; an error means that it could
// not be started. No process outlives this one that could remove a folder.
func (g *group) run(path string, argv []string, attr *os.ProcAttr, _ string, started func()) (Exit, error) {
	job, err := newJob()
	if err != nil {
		return Exit{}, err
	}
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		_ = windows.CloseHandle(job)
		return Exit{}, err
	}
	g.pid, g.job = p.Pid, job
	if err := g.assign(); err != nil {
		_ = p.Kill()
		return Exit{}, err
	}
	started()
	state, err := p.Wait()
	if err != nil {
		return Exit{Status: unknown}, nil
	}
	return Exit{Status: state.ExitCode()}, nil
}

func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("making a job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return 0, fmt.Errorf("setting up a job object: %w", err)
	}
	return job, nil
}

func (g *group) assign() error {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(g.pid))
	if err != nil {
		return fmt.Errorf("opening the command's process: %w", err)
	}
	defer func() { _ = windows.CloseHandle(h) }()
	if err := windows.AssignProcessToJobObject(g.job, h); err != nil {
		return fmt.Errorf("putting the command into a job object: %w", err)
	}
	return nil
}

// end ends the job. There is no way to ask processes of Windows to end.
func (g *group) end(time.Duration) {
	_ = windows.TerminateJobObject(g.job, 1)
	_ = windows.CloseHandle(g.job)
}
