package adminapi

import (
	"context"
	"net/http"
	"time"

	"rookery"
	"rookery/storage/mailbox"
	"rookery/storage/pack/read"
)

// Status is what a node says of itself and of the cluster.
type Status struct {
	Name     string        `json:"name"`
	Node     string        `json:"node"`
	Cluster  string        `json:"cluster"`
	Epoch    uint64        `json:"epoch"`
	Settings uint64        `json:"settings_version"`
	Nodes    []NodeStatus  `json:"nodes"`
	Groups   []GroupStatus `json:"groups"`
	Log      LogStatus     `json:"log"`
	// Store is what the object store can do, as the node asked tried it; empty
	// until then.
	Store string `json:"store"`
	// Reads is how this node reads bodies that are in the object store.
	Reads    read.Stats `json:"reads"`
	Problems []string   `json:"problems"`
	// Generation is of the cluster, empty before its first recovery. Gate is
	// the version of commands that was finalised.
	Generation string `json:"generation"`
	Gate       uint32 `json:"version_gate"`
	// Swept is the last orphan sweep that deleted, null before the first.
	Swept *SweepStatus `json:"last_sweep"`
	// Moves are the accounts on their way to another group.
	Moves []MoveStatus `json:"moves"`
	// SettingsKey is how far a change of the settings key is.
	SettingsKey SettingsKeyStatus `json:"settings_key"`
	// Authority is how far a change of the cluster's CA is.
	Authority AuthorityStatus `json:"ca"`
}

// NodeStatus is one node as this one sees it.
type NodeStatus struct {
	Node    string `json:"node"`
	Name    string `json:"name"`
	Address string `json:"address"`
	Zone    string `json:"zone"`
	State   string `json:"state"`
	Version uint32 `json:"version"`
	// Binary is the version of the node's binary, empty while it is away.
	Binary string `json:"binary"`
	Alive  bool   `json:"alive"`
	Disk   string `json:"disk"`
	// Since is when a dead node was last heard of; null where it never was
	// since the node asked has started.
	Since *time.Time `json:"dead_since,omitempty"`
	// Stopped is that a dead node said before that it stops.
	Stopped bool `json:"stopped,omitempty"`
	// Leads and Holds are the groups it leads and has replicas of, the system
	// group's learners not counted; Sessions are its clients' connections.
	Leads int `json:"leads"`
	Holds int `json:"holds"`
	// Serves are the mail groups whose sessions it serves itself: its vote in
	// them is confirmed. Sessions of other groups it passes on.
	Serves   int `json:"serves"`
	Sessions int `json:"sessions"`
	// Movable is that another node is free to take over some group it holds.
	Movable bool `json:"movable"`
	// Up is for how many seconds it runs.
	Up int64 `json:"up_seconds"`
}

// GroupStatus is one Raft group.
type GroupStatus struct {
	Group    rookery.GroupID  `json:"group"`
	Leader   string           `json:"leader"`
	Members  []string         `json:"members"`
	Learners []string         `json:"learners"`
	Last     rookery.LogIndex `json:"last"`
	Applied  rookery.LogIndex `json:"applied"`
	// Lag is how many entries each member's state is behind the leader's log.
	Lag      map[string]int64 `json:"lag"`
	Unpacked int              `json:"unpacked_bodies"`
	Bytes    int64            `json:"unpacked_bytes"`
	// Stored are the group's packs, null where it has no replica on the node
	// asked.
	Stored *mailbox.PackTotals `json:"stored,omitempty"`
	// Oldest is for how many seconds the body that waits longest has waited.
	Oldest int64 `json:"oldest_unpacked_seconds"`

	// Voters are the members whose votes can be counted on.
	Voters int `json:"voters"`
}

// LogStatus is the node's log.
type LogStatus struct {
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
	Free     int64  `json:"free"`
	Disk     string `json:"disk"`
}

// SweepStatus is an orphan sweep as the status shows it.
type SweepStatus struct {
	Time    time.Time `json:"time"`
	Objects uint64    `json:"deleted"`
	Bytes   int64     `json:"deleted_bytes"`
}

// Status reads what the node says of itself.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// SettingsKeyStatus is the version of the settings key that a node uses.
type SettingsKeyStatus struct {
	Version uint32 `json:"version"`
	// Waits names the nodes that live and do not use it yet.
	Waits []string `json:"waits_for"`
}
