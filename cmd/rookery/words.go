package main

import "fmt"

// plural counts things: 1 session, 2 sessions.
func plural[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if last := len(one) - 1; one[last] == 'y' {
		return fmt.Sprintf("%d %sies", n, one[:last])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
