package cli

import (
	"os/exec"
	"syscall"
)

// ownGroup starts the command in a process group of its own, so that a Ctrl-C in the console does not reach it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
