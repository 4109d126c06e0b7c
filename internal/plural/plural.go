// Package plural words counts in messages: 1 node, 2 nodes. It owns nothing
// else, and knows English alone.
package plural

import "fmt"

// Of counts things of a name in the singular: 1 session, 2 sessions, 2 bodies.
func Of[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if last := len(one) - 1; one[last] == 'y' {
		return fmt.Sprintf("%d %sies", n, one[:last])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Are counts things that are something: 1 node is, 2 nodes are.
func Are[N int | int64 | uint64](n N, one string) string {
	return Of(n, one) + " " + Verb(n, "is", "are")
}

// Verb is the form of a verb after a count: one for 1, else many.
func Verb[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
