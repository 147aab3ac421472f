package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// socket is the memory of an idle user with an open socket.
type socket struct {
	With      string  `json:"with"` // connect() or k6/websockets
	Users     int     `json:"users"`
	KBPerUser float64 `json:"residentKBPerUser"`
}

// measureSockets runs sockets.sh.
func measureSockets(ctx context.Context) ([]socket, error) {
	cmd := exec.CommandContext(ctx, "build/bench/sockets.sh")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("sockets.sh: %w", err)
	}
	var sockets []socket
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var s socket
		if _, err := fmt.Sscanf(lines.Text(), "%s %d users %f KB a user", &s.With, &s.Users, &s.KBPerUser); err == nil {
			sockets = append(sockets, s)
		}
	}
	if len(sockets) != 2 {
		return nil, fmt.Errorf("sockets.sh measured %d ways instead of 2: %q", len(sockets), out)
	}
	return sockets, nil
}

func writeSockets(out io.Writer, sockets []socket) {
	for _, s := range sockets {
		_, _ = fmt.Fprintf(out, "%d idle users with a socket, %s: %.1f KB each\n", s.Users, s.With, s.KBPerUser)
	}
}

// machine describes the machine of the measurements.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d cores of %s, %.0f MB of memory free, %s", runtime.NumCPU(), model, availableMB(), runtime.Version())
}
