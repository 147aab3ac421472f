//go:build !unix

package campaign

import "os"

// lock does nothing where there is no flock: that two campaigns do not share a folder is left to their users.
func lock(*os.File) (unlock func(), err error) { return func() {}, nil }
