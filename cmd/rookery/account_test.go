package main

import (
	"fmt"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// A spread evens the groups out and moves no account that need not move.
func TestSpreadPlansFewMoves(t *testing.T) {
	for _, counts := range [][]int{{0}, {9, 0}, {4, 4, 4, 0}, {10, 1, 1, 0, 0}, {3, 3, 2}, {0, 0, 0}, {100, 0, 50}} {
		var groups []rookery.GroupID
		var accounts []adminapi.AccountStatus
		total := 0
		for i, n := range counts {
			g := rookery.GroupID(2 + i)
			groups = append(groups, g)
			for k := range n {
				accounts = append(accounts, adminapi.AccountStatus{Account: fmt.Sprint(g, "/", k), Group: g})
			}
			total += n
		}
		moves := plan(groups, accounts)
		after := map[rookery.GroupID]int{}
		at := map[string]rookery.GroupID{}
		for _, a := range accounts {
			after[a.Group]++
			at[a.Account] = a.Group
		}
		for _, m := range moves {
			if at[m.Account] != m.From {
				t.Errorf("%v: account %s moves twice or from elsewhere", counts, m.Account)
			}
			delete(at, m.Account)
			after[m.From]--
			after[m.To]++
		}
		need := 0
		for i, n := range counts {
			if got, even := after[groups[i]], total/len(counts); got != even && got != even+1 {
				t.Errorf("%v: group %d gets %d accounts", counts, groups[i], got)
			}
			if more := n - (total+len(counts)-1)/len(counts); more > 0 {
				need += more
			}
		}
		if len(moves) > need+len(counts) {
			t.Errorf("%v: %d moves, about %d are needed", counts, len(moves), need)
		}
	}
}
