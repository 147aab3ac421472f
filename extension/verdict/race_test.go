//go:build race

package verdict_test

const underRace = true
