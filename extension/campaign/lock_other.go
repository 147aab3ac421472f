//go:build !unix

package campaign

import "os"

// lock does nothing, as these systems have no flock: users must take care that two campaigns do not share a folder.
func lock(*os.File) (unlock func(), err error) { return func() {}, nil }
