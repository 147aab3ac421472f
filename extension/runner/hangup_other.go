//go:build !unix

package runner

// TerminateOnHangup does nothing: this system has no SIGHUP.
func TerminateOnHangup() {}
