package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// atHand is more memory than anything writes that is timed.
const atHand = 5 << 28 // bytes: 1.25 GiB

// settle makes the machine the same before each thing that is timed: the medium
// has what was written before, and there is free memory that has been used. A
// virtual machine may have given its free pages back to its host, and then pays
// some microseconds for each that it writes to first, which is several times
// what the write takes.
func settle(ctx context.Context) error {
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return fmt.Errorf("waiting for the medium: %w", err)
	}
	memory, err := syscall.Mmap(-1, 0, atHand, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("touching memory: %w", err)
	}
	for i := 0; i < len(memory) && ctx.Err() == nil; i += os.Getpagesize() {
		memory[i] = 1
	}
	return errors.Join(ctx.Err(), syscall.Munmap(memory))
}
