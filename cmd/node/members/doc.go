// Package members is who belongs to the cluster and which groups run on this
// node.
//
// The Registry writes this node into the cluster's list of nodes, admits nodes
// that join, drains and removes them, adds mail groups and finalises versions.
// The Host starts and stops the groups on this node as the placement has them
// and the disk permits, changes the members of those it leads, and has them
// reclaim what nodes that are gone have left. The package owns the policy of the
// placement; which node a group belongs on is decided in cluster/placement, and
// that a node is dead by whoever reads its liveness. It serves no client.
package members
