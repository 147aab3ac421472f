// Package contract has the facts of Verity's wire, each once, as docs/verity-api.md has them: the routes with their statuses and
// limits, the words of its answers, the events on its sockets, its keys in Redis, and what its matcher can do. The client, the
// preflight, the queue's arithmetic and probe, and the stand-in take them from here. A comment names the section of that page.
//
// There are constants and a few functions that only spell something; what to do with a fact is the business of the other rooms. The
// second Verity of the tests (load-test/testdata/verity.mjs) takes nothing from here: it is what these facts are checked against.
package contract
