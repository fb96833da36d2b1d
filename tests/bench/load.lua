-- The requests of wrk: `wrk … -- FILE [once] [close]`. Each line of FILE is a request: a token, and if there are such a
-- host and a path. They are sent in turn. With `once` the load ends when each was sent once; with `close` every request
-- has a connection of its own. What it saw is printed as one line of JSON.

function init(arguments)
  local once, close = false, false
  for at = 2, #arguments do
    once = once or arguments[at] == "once"
    close = close or arguments[at] == "close"
  end
  if close then wrk.headers["Connection"] = "close" end

  local requests = {}
  for line in io.lines(arguments[1]) do
    local token, host, path = line:match("^(%S+) ?(%S*) ?(%S*)$")
    wrk.headers["Authorization"] = "Bearer " .. token
    if host ~= "" then wrk.headers["Host"] = host end
    requests[#requests + 1] = wrk.format(nil, path ~= "" and path or nil)
  end
  -- A single request is sent as it is, without asking this script each time.
  if #requests == 1 and not once then return end

  local sent = 0
  function request()
    sent = sent + 1
    if once and sent == #requests then
      -- The thread ends here, but the program would wait until its time is up: who started it is told.
      wrk.thread:stop()
      io.stderr:write("all sent\n")
    end
    return requests[(sent - 1) % #requests + 1]
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"amount":%.3f,"seconds":%.6f,"p50":%.6f,"p99":%.6f,"errors":%d}',
    summary.requests / 1000, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
