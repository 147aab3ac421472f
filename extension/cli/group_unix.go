//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// ownGroup starts the command in a process group of its own, so that a Ctrl-C at the terminal does not reach it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
