// Package contract has the facts of Verity's protocol, each once, as in docs/verity-api.md: the routes with their statuses and
// limits, the messages, the events on its sockets, its keys in Redis, and the constants of its matcher. The client, the preflight,
// the queue's plan and probe, and the stand-in use them. Comments name the section of that page.
//
// It has only constants, and a few functions that format or parse; the other rooms have the behaviour. The second Verity of the
// tests (load-test/testdata/verity.mjs) shares nothing with it, so that these facts can be checked against it.
package contract
