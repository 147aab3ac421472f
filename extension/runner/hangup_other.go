//go:build !unix

package runner

// TerminateOnHangup does nothing where there is no SIGHUP.
func TerminateOnHangup() {}
