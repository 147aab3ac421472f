//go:build !unix

package preflight

// openFiles returns 0, unknown: Windows has no such limit for sockets.
func openFiles() uint64 { return 0 }
