package adminapi

import (
	"context"
	"net/http"
	"time"

	"rookery"
)

// BackupStatus is how far the archive is.
type BackupStatus struct {
	// On says that there is a backup store, Store where.
	On    bool   `json:"on"`
	Store string `json:"store,omitempty"`
	// WindowDays is for how many days back any second can be restored.
	WindowDays int `json:"window_days,omitempty"`
	// Complete is the latest time that the whole cluster can be brought back to; null
	// while a group's leader does not vouch for one.
	Complete *time.Time    `json:"complete_until"`
	Groups   []BackupGroup `json:"groups"`
	// Problems are in plain words.
	Problems []string `json:"problems"`
}

// BackupGroup is how far one group's archive is, by the node that leads it.
type BackupGroup struct {
	Group rookery.GroupID `json:"group"`
	Node  string          `json:"node"`
	// Archived is the last log entry in the archive, Upto its time.
	Archived uint64    `json:"archived_index"`
	Upto     time.Time `json:"archived_until"`
	// Complete is the time up to which its leader vouches that nothing is missing.
	Complete *time.Time `json:"complete_until"`
	// Pending counts the entries that wait, Lag is how old the oldest is, in seconds.
	Pending uint64  `json:"pending_entries"`
	Lag     float64 `json:"lag_seconds"`
	// Image is when the newest image was made; null where there is none.
	Image *time.Time `json:"last_image"`
	// Gap, where set, is what cannot be restored before the newest image.
	Gap *BackupGap `json:"gap,omitempty"`
	// Segments and Bytes were written by that node since it began to lead.
	Segments uint64 `json:"segments"`
	Bytes    int64  `json:"bytes"`
	Error    string `json:"error,omitempty"`
}

// BackupGap is a span of time that cannot be restored.
type BackupGap struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// BackupImage is an image in the archive.
type BackupImage struct {
	Group rookery.GroupID `json:"group"`
	Index uint64          `json:"index"`
	Time  time.Time       `json:"time"`
}

// BackupList is what the archive has.
type BackupList struct {
	Images []BackupImage `json:"images"`
	// Segments and SegmentBytes sum the segments of all groups.
	Segments     int   `json:"segments"`
	SegmentBytes int64 `json:"segment_bytes"`
}

// RestoreOrder says what is to come back.
type RestoreOrder struct {
	// Account is an address or the id of an account; To is where it comes back, the
	// same where empty.
	Account string `json:"account"`
	To      string `json:"to,omitempty"`
	// At is the time that it is to be as of.
	At time.Time `json:"at"`
	// Mailbox is the only mailbox, by its name then; Emails are the only messages, by
	// EMAILID. Empty is all.
	Mailbox string   `json:"mailbox,omitempty"`
	Emails  []string `json:"emails,omitempty"`
	// Replace makes each mailbox what it was; else what is missing is added.
	Replace bool `json:"replace,omitempty"`
	// Into is a mailbox below which everything is put, instead of in place.
	Into string `json:"into,omitempty"`
	// Exceed takes the account over its quota where that is needed.
	Exceed bool `json:"exceed,omitempty"`
}

// RestorePlan is what a restore would change.
type RestorePlan struct {
	Account   string           `json:"account"`
	To        string           `json:"to"`
	At        time.Time        `json:"at"`
	Mailboxes []PlannedMailbox `json:"mailboxes"`
	Add       int              `json:"add"`
	Remove    int              `json:"remove"`
	Flags     int              `json:"flags"`
	Bytes     int64            `json:"bytes"`
}

// PlannedMailbox is what would change in one mailbox.
type PlannedMailbox struct {
	// Name is its name then, Target the one that it has or gets now.
	Name   string `json:"name"`
	Target string `json:"target"`
	// Created says that it would be made.
	Created bool  `json:"created"`
	Present int   `json:"present"`
	Add     int   `json:"add"`
	Remove  int   `json:"remove"`
	Flags   int   `json:"flags"`
	Bytes   int64 `json:"bytes"`
}

// RestoreJob is a restore that runs, or has ended.
type RestoreJob struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Address string    `json:"address,omitempty"`
	At      time.Time `json:"at"`
	// State is running, done, failed or cancelled.
	State string `json:"state"`
	// Done counts the messages that are back, of Total.
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
	Bytes int64  `json:"bytes"`
	// Left is about how many seconds it will take, 0 where that is not known.
	Left  float64    `json:"seconds_left,omitempty"`
	Text  string     `json:"text,omitempty"`
	By    string     `json:"by"`
	Began time.Time  `json:"began"`
	Ended *time.Time `json:"ended"`
}

// FindOrder looks for messages of the past.
type FindOrder struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	// From and Subject are parts of the fields, whatever their case; Mailbox is a name.
	From    string `json:"from,omitempty"`
	Subject string `json:"subject,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	// Since and Before bound INTERNALDATE.
	Since  time.Time `json:"since,omitzero"`
	Before time.Time `json:"before,omitzero"`
	// Deleted picks those that the account has not any more.
	Deleted bool `json:"deleted,omitempty"`
	// Limit bounds the answer, 0 is 100, at most 10,000.
	Limit int `json:"limit,omitempty"`
}

// FoundMessages are messages of the past.
type FoundMessages struct {
	At       time.Time      `json:"at"`
	Messages []FoundMessage `json:"messages"`
	// More says that there are more than the limit.
	More bool `json:"more"`
}

// FoundMessage is one.
type FoundMessage struct {
	Mailbox string    `json:"mailbox"`
	UID     uint32    `json:"uid"`
	Email   string    `json:"email_id"`
	From    string    `json:"from"`
	Subject string    `json:"subject"`
	Date    time.Time `json:"date"`
	Size    int64     `json:"size"`
	// Deleted says that the account has it in no mailbox any more.
	Deleted bool `json:"deleted"`
}

// PruneOrder asks for the archive to be pruned.
type PruneOrder struct {
	// DryRun only says what would go; Force deletes however much it is.
	DryRun bool `json:"dry_run,omitempty"`
	Force  bool `json:"force,omitempty"`
}

// PruneReport is what went, or would go.
type PruneReport struct {
	DryRun   bool  `json:"dry_run"`
	Images   int   `json:"images"`
	Segments int   `json:"segments"`
	Objects  int   `json:"objects"`
	Bytes    int64 `json:"bytes"`
	// Points are images that are kept from before the window.
	Points      int   `json:"kept_points"`
	KeptObjects int   `json:"kept_objects"`
	KeptBytes   int64 `json:"kept_bytes"`
}

// PruneBackup deletes what nothing in the archive needs.
func (c *Client) PruneBackup(ctx context.Context, o PruneOrder) (r PruneReport, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/backup/prune", o, &r)
	return r, err
}

// BackupStatus tells how far the archive is.
func (c *Client) BackupStatus(ctx context.Context) (s BackupStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/backup", nil, &s)
	return s, err
}

// RunBackup archives everything up to now.
func (c *Client) RunBackup(ctx context.Context) (s BackupStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/backup/run", nil, &s)
	return s, err
}

// ListBackups lists the images of the archive.
func (c *Client) ListBackups(ctx context.Context) (l BackupList, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/backup/list", nil, &l)
	return l, err
}

// FindMessages looks for messages of the past.
func (c *Client) FindMessages(ctx context.Context, o FindOrder) (f FoundMessages, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/backup/find", o, &f)
	return f, err
}

// PlanRestore says what a restore would change.
func (c *Client) PlanRestore(ctx context.Context, o RestoreOrder) (p RestorePlan, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/restores/plan", o, &p)
	return p, err
}

// BeginRestore begins a restore.
func (c *Client) BeginRestore(ctx context.Context, o RestoreOrder) (j RestoreJob, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/restores", o, &j)
	return j, err
}

// Restores lists restores, the newest first.
func (c *Client) Restores(ctx context.Context) (all []RestoreJob, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/restores", nil, &all)
	return all, err
}

// CancelRestore ends a restore; what it has brought back stays.
func (c *Client) CancelRestore(ctx context.Context, id string) (j RestoreJob, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/restores/"+id+"/cancel", nil, &j)
	return j, err
}
