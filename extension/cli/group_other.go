//go:build !unix

package cli

import "os/exec"

// ownGroup leaves the command where it is: Windows cannot pass a Ctrl-C on to a process, the console does it.
func ownGroup(*exec.Cmd) {}
