package campaign

import (
	"context"
	"fmt"
	"slices"

	"github.com/verity-app/xk6-verity/extension/queue"
)

// fewGhosts is how many more users may be queued by half than before the first step. A leave that meets the matcher leaves one behind now and
// then, a known defect of the service (docs/verity-api.md, Queue); 1,000 of them delay each match by 0.6 s, and so many by 0.06 s.
const fewGhosts = 100

// inRedis is the state read from the service's Redis.
type inRedis struct {
	queued, inSession int64
	ghosts            queue.Ghosts
}

func (f inRedis) leftBehind() int64 { return int64(len(f.ghosts.Members) + len(f.ghosts.States)) }

func (f inRedis) text() string {
	if f.queued == 0 && f.inSession == 0 && f.leftBehind() == 0 {
		return "nobody is queued or in a session"
	}
	return fmt.Sprintf("%s queued, %d by half, and %s in a session", usersAre(f.queued), f.leftBehind(), usersAre(f.inSession))
}

func (c *calm) lookAtRedis(ctx context.Context) (found inRedis, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisLimit)
	defer cancel()
	probe, err := queue.NewProbe(c.service.RedisURL)
	if err != nil {
		return found, err
	}
	defer func() { _ = probe.Close() }()
	depths, err := probe.Depths(ctx)
	if err != nil {
		return found, err
	}
	if found.ghosts, err = probe.Ghosts(ctx); err != nil {
		return found, err
	}
	inSession, err := probe.InSession(ctx)
	found.queued, found.inSession = int64(depths.Total), int64(inSession)
	return found, err
}

func (c *calm) lookAtQueue(ctx context.Context, base *Baseline) (unrests []unrest, text string) {
	if c.service.RedisURL == "" {
		return nil, ""
	}
	found, err := c.lookAtRedis(ctx)
	if err != nil {
		return []unrest{{what: "redis", text: err.Error(), todo: "see whether the service's Redis is up, or unset REDIS_URL"}}, ""
	}
	before := func(n int64) int64 { return max(0, n) } // -1 if Redis was not read before the first step
	whole := found.queued - int64(len(found.ghosts.Members))
	if left := found.leftBehind(); left > before(base.LeftBehind)+fewGhosts {
		unrests = append(unrests, leftBehind(left, found.ghosts))
	} else if whole > before(base.Queued) {
		unrests = append(unrests, unrest{
			what: "queued", text: fmt.Sprintf("%s queued, and %d were before the first step", usersAre(whole), before(base.Queued)),
			todo: "see which users are queued, and whether somebody else uses the service (redis-cli: SMEMBERS queue:keys)",
		})
	}
	if found.inSession > before(base.InSession) {
		unrests = append(unrests, unrest{
			what: "sessions", text: fmt.Sprintf("%s in a session, and %d were before the first step", usersAre(found.inSession), before(base.InSession)),
			todo: "see why sessions do not end: the service deletes session:active:<user> at the end of each",
		})
	}
	text = found.text()
	if left := found.leftBehind(); left > before(base.LeftBehind) {
		text += ": " + howToRemove(found.ghosts)
	}
	return unrests, text
}

// leftBehind names one half-queued user (see queue.Ghosts) and the commands that remove it.
func leftBehind(n int64, ghosts queue.Ghosts) unrest {
	one := firstGhost(ghosts)
	return unrest{
		what: "left", text: fmt.Sprintf("%s left in the queue by half, such as %s in %s", usersAre(n), one.User, one.QueueKey),
		todo: howToRemove(ghosts),
	}
}

func firstGhost(ghosts queue.Ghosts) queue.Ghost {
	return slices.Concat(ghosts.Members, ghosts.States)[0]
}

// howToRemove says how to remove users queued by half; there is at least one.
func howToRemove(ghosts queue.Ghosts) string {
	one := firstGhost(ghosts)
	return fmt.Sprintf("take them out of Redis, as with: redis-cli ZREM queue:zset:%s %s; redis-cli DEL queue:user:%s", one.QueueKey, one.User, one.User)
}

// usersAre is a number of users and the verb after it.
func usersAre(n int64) string {
	if n == 1 {
		return "1 user is"
	}
	return fmt.Sprintf("%d users are", n)
}
