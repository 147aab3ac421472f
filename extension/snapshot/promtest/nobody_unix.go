//go:build unix

package promtest

import (
	"os/exec"
	"syscall"
)

// asNobody runs the command as the user nobody: Postgres refuses to run as root.
func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
