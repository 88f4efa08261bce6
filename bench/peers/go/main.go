// The Go peer: every workload of docs/benchmarks.md in plain, idiomatic Go.
//
//	go-peer WORKLOAD [--procs P] [--n N] [key=value ...]
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ---- the workloads: each runs n ops and says how many it did ----

type extras map[string]any

type result struct {
	ops  int
	wall time.Duration // 0: let the caller's clock count
	more extras
}

func yield(n int) result {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range n / 2 {
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	return result{ops: n / 2 * 2}
}

func spawn(n int) result {
	const batch = 1000
	var wg sync.WaitGroup
	task := func() { wg.Done() }
	for left := n; left > 0; left -= batch {
		k := min(left, batch)
		wg.Add(k)
		for range k {
			go task()
		}
		wg.Wait()
	}
	return result{ops: n}
}

// spawnTree starts a tree of `depth` levels (2^depth - 1 tasks) and returns how many ran.
func spawnTree(n int) result {
	depth := 0
	for 1<<(depth+1) <= n {
		depth++
	}
	type node struct {
		wg          sync.WaitGroup
		left, right int
	}
	var task func(depth int, count *int, wg *sync.WaitGroup)
	task = func(depth int, count *int, wg *sync.WaitGroup) {
		if depth == 1 {
			*count = 1
		} else {
			var nd node
			nd.wg.Add(2)
			go task(depth-1, &nd.left, &nd.wg)
			go task(depth-1, &nd.right, &nd.wg)
			nd.wg.Wait()
			*count = 1 + nd.left + nd.right
		}
		wg.Done()
	}
	var root node
	root.wg.Add(1)
	go task(depth, &root.left, &root.wg)
	root.wg.Wait()
	check("tasks", root.left, 1<<depth-1)
	return result{ops: root.left}
}

func pingpong(n int) result {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v + 1
		}
		close(pong)
	}()
	token := 0
	for range n {
		ping <- token
		token = <-pong
	}
	close(ping)
	check("token", token, n)
	return result{ops: n}
}

func chanSpsc(n int) result {
	c := make(chan int, 128)
	go func() {
		for i := range n {
			c <- i
		}
		close(c)
	}()
	sum := 0
	for v := range c {
		sum += v
	}
	check("sum", sum, n*(n-1)/2)
	return result{ops: n}
}

func chanMpmc(n int) result {
	const pairs = 8
	each := n / pairs
	c := make(chan int, 64)
	var senders, receivers sync.WaitGroup
	var sums [pairs]int
	for i := range pairs {
		receivers.Go(func() {
			sum := 0
			for v := range c {
				sum += v
			}
			sums[i] = sum
		})
		senders.Go(func() {
			for k := range each {
				c <- i*each + k
			}
		})
	}
	senders.Wait()
	close(c)
	receivers.Wait()
	sum := 0
	for _, s := range sums {
		sum += s
	}
	n = each * pairs
	check("sum", sum, n*(n-1)/2)
	return result{ops: n}
}

func ring(n int) result {
	const size = 503
	var links [size]chan int
	for i := range links {
		links[i] = make(chan int)
	}
	done := make(chan int) // the task at which the token ran out
	for i := range size {
		go func() {
			in, out := links[i], links[(i+1)%size]
			for token := range in {
				if token == 0 {
					done <- i
				} else {
					out <- token - 1
				}
			}
		}()
	}
	links[0] <- n
	last := <-done
	for _, c := range links {
		close(c)
	}
	check("last task", last, n%size)
	return result{ops: n}
}

// sieve leaves its blocked filters behind, as the well-known program does.
func sieve(n int) result {
	filter := func(in <-chan int, out chan<- int, prime int) {
		for {
			if v := <-in; v%prime != 0 {
				out <- v
			}
		}
	}
	c := make(chan int)
	go func(out chan<- int) {
		for v := 2; ; v++ {
			out <- v
		}
	}(c)
	prime := 0
	for range n {
		prime = <-c
		next := make(chan int)
		go filter(c, next, prime)
		c = next
	}
	check("prime", prime, nthPrime(n))
	return result{ops: n}
}

func nthPrime(n int) int {
	var primes []int
	for v := 2; len(primes) < n; v++ {
		isPrime := true
		for _, p := range primes {
			if p*p > v {
				break
			}
			if v%p == 0 {
				isPrime = false
				break
			}
		}
		if isPrime {
			primes = append(primes, v)
		}
	}
	return primes[n-1]
}

func skynet(n int) result {
	const children = 10
	buffer := param("buffer", 0)
	var node func(up chan<- int, number, size int)
	node = func(up chan<- int, number, size int) {
		if size == 1 {
			up <- number
			return
		}
		sub := size / children
		c := make(chan int, buffer)
		for i := range children {
			go node(c, number+i*sub, sub)
		}
		sum := 0
		for range children {
			sum += <-c
		}
		up <- sum
	}
	leaves := 1
	for leaves*children <= n {
		leaves *= children
	}
	c := make(chan int)
	go node(c, 0, leaves)
	check("sum", <-c, leaves*(leaves-1)/2)
	return result{ops: leaves}
}

func fib(n int) result {
	type call struct {
		wg    sync.WaitGroup
		value int
	}
	var compute func(n int) int
	task := func(n int, c *call) {
		c.value = compute(n)
		c.wg.Done()
	}
	compute = func(n int) int {
		if n <= 1 {
			return n
		}
		var c call
		c.wg.Add(1)
		go task(n-1, &c)
		below := compute(n - 2)
		c.wg.Wait()
		return c.value + below
	}
	a, b := 0, 1 // fib(0), fib(1)
	for range n {
		a, b = b, a+b
	}
	check("fib", compute(n), a)
	return result{ops: b - 1} // tasks started: fib(n+1) - 1
}

func parallelFor(n int) result {
	out := make([]uint8, n)
	step := func(i uint64) uint8 {
		x := i*0x9e3779b97f4a7c15 + 1
		rounds := 1 + x>>61
		if i < uint64(n)/8 {
			rounds *= 8
		}
		for range rounds {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		if x != 0 {
			return 1
		}
		return 0
	}
	clear(out) // its pages are there before the clock starts, as in the other programs
	start := time.Now()
	const chunk = 1024 // the usual way: as many goroutines as procs, and a shared counter
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				end := int(next.Add(chunk))
				if end-chunk >= n {
					return
				}
				for i := end - chunk; i < min(end, n); i++ {
					out[i] = step(uint64(i))
				}
			}
		})
	}
	wg.Wait()
	wall := time.Since(start)
	sum := 0
	for _, one := range out {
		sum += int(one)
	}
	check("steps", sum, n)
	return result{ops: n, wall: wall}
}

func selectFour(n int) result {
	each := n / 4
	send := func(i int) chan int {
		c := make(chan int)
		go func() {
			for k := range each {
				c <- i*each + k
			}
		}()
		return c
	}
	a, b, c, d := send(0), send(1), send(2), send(3)
	n, sum := each*4, 0
	for range n {
		select {
		case v := <-a:
			sum += v
		case v := <-b:
			sum += v
		case v := <-c:
			sum += v
		case v := <-d:
			sum += v
		}
	}
	check("sum", sum, n*(n-1)/2)
	return result{ops: n}
}

func mutex(n int) result {
	const tasks = 64
	each := n / tasks
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := 0
	for range tasks {
		wg.Go(func() {
			for range each {
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	check("count", count, each*tasks)
	return result{ops: count}
}

func rwmutex(n int) result {
	const readers = 8
	each := n / readers
	var mu sync.RWMutex
	var wg sync.WaitGroup
	var sum atomic.Int64
	value := 1
	for range readers {
		wg.Go(func() {
			mine := 0
			for range each {
				mu.RLock()
				mine += value
				mu.RUnlock()
			}
			sum.Add(int64(mine))
		})
	}
	wg.Wait()
	check("sum", int(sum.Load()), each*readers)
	return result{ops: each * readers}
}

// syncMap: 8 goroutines on 4,096 keys, all there: 9 of 10 operations load one, the tenth stores it.
func syncMap(n int) result {
	const goroutines, keys = 8, 4096
	each := n / goroutines
	var m sync.Map
	for k := range keys {
		m.Store(k, k)
	}
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for i := range goroutines {
		wg.Go(func() {
			next := splitmix(uint64(i))
			mine := 0
			for k := range each {
				key := int(next() % keys)
				if k%10 == 9 {
					m.Store(key, key+k/10*keys)
				} else if v, ok := m.Load(key); !ok || v.(int)%keys != key {
					mine++
				}
			}
			wrong.Add(int64(mine))
		})
	}
	wg.Wait()
	check("number of values of other keys", int(wrong.Load()), 0)
	return result{ops: each * goroutines}
}

func timers(n int) result {
	late := make([]time.Duration, n)
	random := splitmix(42)
	var wg sync.WaitGroup
	wg.Add(n)
	cpu := cpuSeconds()
	start := time.Now()
	for i := range n {
		d := time.Duration(random() % uint64(time.Second))
		go func() {
			from := time.Now()
			time.Sleep(d)
			late[i] = time.Since(from) - d
			wg.Done()
		}()
	}
	wg.Wait()
	wall := time.Since(start)
	cpu = cpuSeconds() - cpu
	slices.Sort(late)
	check("early wakes", min(0, int(late[0])), 0)
	return result{ops: n, wall: wall, more: extras{
		"cpu_s": cpu, "late_p50_us": us(late, 0.5), "late_p99_us": us(late, 0.99), "late_max_us": us(late, 1)}}
}

func afterFunc(n int) result {
	window := min(n, param("window", 1000))
	set := make([]*time.Timer, window)
	random := splitmix(42)
	var ran atomic.Int64
	stopped := 0
	for i := range n {
		t := set[i%window]
		if t != nil && t.Stop() {
			stopped++
		}
		set[i%window] = time.AfterFunc(time.Hour+time.Duration(random()%uint64(time.Second)), func() { ran.Add(1) })
	}
	for _, t := range set {
		if t.Stop() {
			stopped++
		}
	}
	check("timers stopped", stopped, n)
	check("functions that ran", int(ran.Load()), 0)
	return result{ops: n}
}

func parked(n int) result {
	before := rss()
	gate := make(chan struct{})
	var arrived atomic.Int64
	var wg sync.WaitGroup
	wg.Add(n)
	start := time.Now()
	task := func() {
		arrived.Add(1)
		<-gate
		wg.Done()
	}
	for range n {
		go task()
	}
	for arrived.Load() < int64(n) {
		runtime.Gosched()
	}
	wall := time.Since(start)
	time.Sleep(50 * time.Millisecond) // let the last one park; not timed
	bytes := float64(rss()-before) / float64(n)
	closing := time.Now()
	close(gate)
	wg.Wait()
	wake := time.Since(closing)
	return result{ops: n, wall: wall + wake, more: extras{
		"bytes_per_task": bytes, "start_ns": perOp(wall, n), "wake_ns": perOp(wake, n)}}
}

// computeUntil calls nothing: only a signal takes the processor from it.
func computeUntil(stop *atomic.Bool, sink *atomic.Uint64) {
	x := uint64(1)
	for !stop.Load() {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink.Add(x)
}

func hog(n int) result {
	const period = time.Millisecond
	var stop atomic.Bool
	var sink atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { computeUntil(&stop, &sink) })
	}
	late := make([]time.Duration, n)
	wg.Go(func() {
		start := time.Now()
		for i := range late { // a fixed schedule: one late tick makes the next ones late too
			due := time.Duration(i+1) * period
			time.Sleep(due - time.Since(start))
			late[i] = time.Since(start) - due
		}
		stop.Store(true)
	})
	wg.Wait()
	slices.Sort(late)
	check("early ticks", min(0, int(late[0])), 0)
	return result{ops: n, more: extras{
		"tick_p50_us": us(late, 0.5), "tick_p99_us": us(late, 0.99), "tick_max_us": us(late, 1)}}
}

func blockingCalls(n int) result {
	const tasks = 64
	each := n / tasks
	var done atomic.Bool
	var made atomic.Int64 // to their end
	var wg sync.WaitGroup
	yields := make(chan int)
	go func() {
		count := 0
		for !done.Load() {
			runtime.Gosched()
			count++
		}
		yields <- count
	}()
	for range tasks {
		wg.Go(func() {
			mine := 0
			for range each {
				millisecond := syscall.Timespec{Nsec: 1e6}
				if syscall.Nanosleep(&millisecond, nil) == nil {
					mine++
				}
			}
			made.Add(int64(mine))
		})
	}
	wg.Wait()
	done.Store(true)
	count := <-yields
	check("calls", int(made.Load()), each*tasks)
	return result{ops: each * tasks, more: extras{"other_yields": count}}
}

func getpid(n int) result {
	const turn = 10_000 // in turn, for the difference is small beside what disturbs either
	sum := 0
	var bare, wall time.Duration
	for left := n; left > 0; left -= turn {
		k := min(left, turn)
		start := time.Now()
		for range k {
			pid, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
			sum += int(pid)
		}
		bare += time.Since(start)
		start = time.Now()
		for range k {
			pid, _, _ := syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0)
			sum -= int(pid)
		}
		wall += time.Since(start)
	}
	check("sum", sum, 0)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n) }
	return result{ops: n, wall: wall, more: extras{"bare_ns": each(bare), "over_ns": each(wall - bare)}}
}

// lockThread plays ping-pong between two goroutines that are locked to their threads.
func lockThread(n int) result {
	ping, pong := make(chan int), make(chan int)
	var wg sync.WaitGroup
	token := 0
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i := range ping {
			pong <- i + 1
		}
	})
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for range n {
			ping <- token
			token = <-pong
		}
		close(ping)
	})
	wg.Wait()
	check("token", token, n)
	return result{ops: n}
}

// setProcs changes GOMAXPROCS to and fro beside 1,000 runnable goroutines, and some (hogs=) that compute.
func setProcs(n int) result {
	const runnable = 1000
	procs := runtime.GOMAXPROCS(0)
	var stop atomic.Bool
	var sink atomic.Uint64
	var ended atomic.Int64
	var wg sync.WaitGroup
	for range runnable {
		wg.Go(func() {
			for !stop.Load() {
				runtime.Gosched()
			}
			ended.Add(1)
		})
	}
	for range param("hogs", 0) {
		wg.Go(func() { computeUntil(&stop, &sink) })
	}
	runtime.Gosched()
	took := make([]time.Duration, n)
	var wall time.Duration
	for i := range took {
		start := time.Now()
		runtime.GOMAXPROCS(procs + 1 - i%2)
		took[i] = time.Since(start)
		wall += took[i]
		runtime.Gosched()
	}
	runtime.GOMAXPROCS(procs)
	stop.Store(true)
	wg.Wait()
	check("goroutines that ended", int(ended.Load()), runnable)
	slices.Sort(took)
	return result{ops: n, wall: wall, more: extras{
		"set_p50_us": us(took, 0.5), "set_p99_us": us(took, 0.99), "set_max_us": us(took, 1)}}
}

// serve echoes until stdin closes; the shared load client measures it.
func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(param("port", 0)))
	if err != nil {
		fail("%v", err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// ---- the frame: arguments, warm-up, clock, one line of JSON ----

type workload struct {
	n    int
	run  func(n int) result
	warm func(n int) int // the size of the warm-up; nil: a tenth
}

func none(int) int { return 0 }

var workloads = map[string]workload{
	"yield":        {10_000_000, yield, nil},
	"spawn":        {2_000_000, spawn, nil},
	"spawn_tree":   {1 << 20, spawnTree, nil},
	"pingpong":     {2_000_000, pingpong, nil},
	"chan_spsc":    {10_000_000, chanSpsc, nil},
	"chan_mpmc":    {4_000_000, chanMpmc, nil},
	"ring":         {5_000_000, ring, nil},
	"sieve":        {2_000, sieve, nil},
	"skynet":       {1_000_000, skynet, nil},
	"fib":          {27, fib, func(n int) int { return n - 5 }}, // about a tenth of the calls
	"parallel_for": {10_000_000, parallelFor, nil},
	"select":       {2_000_000, selectFour, nil},
	"mutex":        {10_000_000, mutex, nil},
	"timers":       {1_000_000, timers, nil},
	"parked":       {1_000_000, parked, none}, // tasks left over would hide their memory
	"hog":          {3_000, hog, none},
	"syscall":      {6_400, blockingCalls, nil},
	"rwmutex":      {10_000_000, rwmutex, nil},
	"map":          {10_000_000, syncMap, nil},
	"after_func":   {1_000_000, afterFunc, nil},
	"getpid":       {5_000_000, getpid, nil},
	"lockthread":   {100_000, lockThread, nil},
	"set_procs":    {2_000, setProcs, nil},

	"syscall_plain": {6_400, blockingCalls, nil}, // Go has one way
}

var params = map[string]string{}

func param(name string, otherwise int) int {
	if text, ok := params[name]; ok {
		v, err := strconv.Atoi(text)
		if err != nil {
			fail("%s=%s: not a number", name, text)
		}
		return v
	}
	return otherwise
}

func main() {
	if len(os.Args) < 2 {
		fail("usage: WORKLOAD [--procs P] [--n N] [key=value ...]")
	}
	name := os.Args[1]
	for i := 2; i < len(os.Args); i++ {
		arg := os.Args[i]
		if key, value, ok := strings.Cut(arg, "="); ok {
			params[strings.TrimPrefix(key, "--")] = value
		} else if arg == "--serve" {
			params["serve"] = "1"
		} else if (arg == "--procs" || arg == "--n") && i+1 < len(os.Args) {
			i++
			params[arg[2:]] = os.Args[i]
		} else {
			fail("what is %q?", arg)
		}
	}
	procs := param("procs", 1)
	runtime.GOMAXPROCS(procs)
	if name == "echo" && param("serve", 0) == 1 {
		serve()
		return
	}
	w, ok := workloads[name]
	if !ok {
		fail("no workload %q here", name)
	}
	n := param("n", w.n)
	warm := n / 10
	if w.warm != nil {
		warm = w.warm(n)
	}
	if warm > 0 {
		w.run(warm)
	}
	start := time.Now()
	r := w.run(n)
	if r.wall == 0 {
		r.wall = time.Since(start)
	}
	fmt.Printf(`{"runtime":"go","workload":%q,"procs":%d,"n":%d,"wall_s":%.6f,"ns_per_op":%.2f,"peak_rss_kb":%d`,
		name, procs, n, r.wall.Seconds(), perOp(r.wall, r.ops), peakRSS())
	if more, _ := json.Marshal(r.more); len(r.more) > 0 {
		fmt.Printf(",%s", more[1:len(more)-1])
	}
	fmt.Println("}")
}

func check(what string, got, want int) {
	if got != want {
		fail("wrong %s: %d, not %d", what, got, want)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func perOp(d time.Duration, ops int) float64 { return float64(d.Nanoseconds()) / float64(ops) }

// us is the q-quantile of a sorted list, in microseconds.
func us(sorted []time.Duration, q float64) float64 {
	return float64(sorted[int(q*float64(len(sorted)-1))].Nanoseconds()) / 1e3
}

// splitmix is the same small generator in every peer, so that all draw the same times.
func splitmix(seed uint64) func() uint64 {
	return func() uint64 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// rss is the resident memory of this process in bytes.
func rss() int {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		fail("%v", err)
	}
	defer f.Close()
	var size, resident int
	fmt.Fscan(bufio.NewReader(f), &size, &resident)
	return resident * os.Getpagesize()
}

// peakRSS is VmHWM in kB: ru_maxrss would be inherited from whoever started this program.
func peakRSS() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail("%v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb := 0
	fmt.Sscan(rest, &kb)
	return kb
}
