package preflight

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// ownFiles is more than k6 keeps open besides the connections of users.
const ownFiles = 64

// portRange is the file with the range of ports for outgoing connections on Linux.
const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// Machine is the limits of this machine for this process.
type Machine struct {
	Files   uint64 // open files; 0: unknown
	Ports   int    // ports for connections from one address to another; 0: unknown
	Sources int    // local addresses that connections use; at least 1
}

// ThisMachine returns the limits of this machine, whose connections use this many local addresses.
func ThisMachine(sources int) Machine {
	m := Machine{Files: openFiles(), Sources: sources}
	if runtime.GOOS == "linux" {
		if text, err := os.ReadFile(portRange); err == nil {
			m.Ports = parsePortRange(string(text))
		}
	}
	return m
}

// parsePortRange returns the number of ports of a range such as "32768\t60999", or 0 if it is invalid.
func parsePortRange(text string) int {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0
	}
	first, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil {
		return 0
	}
	last, err := strconv.ParseUint(fields[1], 10, 16)
	if err != nil || last < first {
		return 0
	}
	return int(last - first + 1) // #nosec G115 -- at most 65536
}

func (m Machine) files(plan Plan) Check {
	const name = "file descriptors"
	need := plan.Connections + ownFiles
	needed := fmt.Sprintf("%s needed (%s connections and %d for k6 itself)", plain.Count(need), plain.Count(plan.Connections), ownFiles)
	switch {
	case m.Files == 0:
		return Check{name, Unknown, "not known on this system; " + needed}
	case m.Files > math.MaxInt64:
		return Check{name, Passed, "no limit; " + needed}
	case m.Files < uint64(need): // #nosec G115 -- not negative
		return Check{name, Failed, fmt.Sprintf("%s allowed, %s: raise the limit with `ulimit -n %d`", plain.Count(m.Files), needed, need)}
	default:
		return Check{name, Passed, fmt.Sprintf("%s allowed, %s", plain.Count(m.Files), needed)}
	}
}

// ports checks the local ports: an outgoing connection uses one until a minute after this side has closed it. The same port can
// be used between other addresses at the same time.
func (m Machine) ports(plan Plan, targets int) Check {
	const name = "ports"
	need := plan.Connections + plan.ClosedPerMinute
	needed := fmt.Sprintf("%s needed (%s connections and %s that were closed within a minute)",
		plain.Count(need), plain.Count(plan.Connections), plain.Count(plan.ClosedPerMinute))
	if m.Ports == 0 {
		return Check{name, Unknown, "not known on this system; " + needed}
	}
	have := m.Ports * m.Sources * targets
	allowed := plain.Count(have) + " there"
	if have > m.Ports {
		allowed = fmt.Sprintf("%s × %d from this machine's addresses × %d to the target's = %s there", plain.Count(m.Ports), m.Sources, targets, plain.Count(have))
	}
	if need > have {
		return Check{name, Failed, fmt.Sprintf("%s, %s: widen net.ipv4.ip_local_port_range, or use several runners", allowed, needed)}
	}
	return Check{name, Passed, fmt.Sprintf("%s, %s", allowed, needed)}
}
