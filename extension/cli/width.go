package cli

import (
	"strconv"

	"go.k6.io/k6/v2/cmd/state"
	"golang.org/x/term"
)

// usualWidth is that of a terminal, and of what reads k6's output where there is none.
const usualWidth = 80

// Width returns how many columns lines for a reader may have: COLUMNS of the environment, or else those of the terminal.
func Width(gs *state.GlobalState) int {
	if columns, err := strconv.Atoi(gs.Env["COLUMNS"]); err == nil && columns > 0 {
		return columns
	}
	return TerminalWidth(gs)
}

// TerminalWidth returns how many columns the terminal has, whatever the environment says.
func TerminalWidth(gs *state.GlobalState) int {
	if gs.Stdout.IsTTY {
		if columns, _, err := term.GetSize(gs.Stdout.RawOutFd); err == nil && columns > 0 {
			return columns
		}
	}
	return usualWidth
}
