package cli

import (
	"strconv"

	"go.k6.io/k6/v2/cmd/state"
	"golang.org/x/term"
)

// usualWidth is the assumed width where the output is not a terminal.
const usualWidth = 80

// Width returns the number of columns for printed text: COLUMNS of the environment, or else the width of the terminal.
func Width(gs *state.GlobalState) int {
	if columns, err := strconv.Atoi(gs.Env["COLUMNS"]); err == nil && columns > 0 {
		return columns
	}
	return TerminalWidth(gs)
}

// TerminalWidth returns the number of columns of the terminal, regardless of COLUMNS.
func TerminalWidth(gs *state.GlobalState) int {
	if gs.Stdout.IsTTY {
		if columns, _, err := term.GetSize(gs.Stdout.RawOutFd); err == nil && columns > 0 {
			return columns
		}
	}
	return usualWidth
}
