-- Requests for wrk: wrk -s load.lua URL -- KIND ROWS SIZE [FILE]. At the end it prints one line of JSON.

local rows, size = 0, 0
local threads = {}

-- etcd's gateway takes keys and values in base64.
local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local value = math.floor(bits / 64 ^ place) % 64
      out[#out + 1] = digits:sub(value + 1, value + 1)
    end
    if not b then out[#out - 1] = '=' end
    if not c then out[#out] = '=' end
  end
  return table.concat(out)
end

local json = { ['content-type'] = 'application/json' }
local function post(path, body) return wrk.format('POST', path, json, body) end
local function any_row() return math.random(0, rows - 1) end

local kinds = {}

-- Makes requests that differ in the row alone: put together from two halves, whatever the number of rows.
local function of_any_row(template)
  local first, last = template:match('^(.-)@(.*)$')
  request = function() return first .. any_row() .. last end
end

function kinds.reserve()
  of_any_row(post('/inventory/BENCH/items/ITEM-@/reserve', '{"qty":1,"ttlSeconds":3600}'))
end

local function read(query)
  of_any_row(wrk.format('GET', '/inventory/BENCH/items/ITEM-@' .. query))
end

kinds['local'] = function() read('?consistency=local') end
kinds.linearizable = function() read('') end

function kinds.batch()
  local bodies = {}
  for number = 1, 8 do
    local commands = {}
    for place = 1, size do
      local line = '{"storeId":"BENCH","itemId":"ITEM-' .. any_row() .. '","qty":1}'
      commands[place] = '{"op":"reserve","lines":[' .. line .. '],"ttlSeconds":3600}'
    end
    bodies[number] = post('/batch', '{"commands":[' .. table.concat(commands, ',') .. ']}')
  end
  request = function() return bodies[math.random(1, #bodies)] end
end

function kinds.put()
  local requests, value = {}, base64('available=1000000000 reserved=1')
  for row = 0, rows - 1 do
    local body = '{"key":"' .. base64('stock/' .. row) .. '","value":"' .. value .. '"}'
    requests[row] = post('/v3/kv/put', body)
  end
  request = function() return requests[any_row()] end
end

function kinds.range()
  local requests = {}
  for row = 0, rows - 1 do
    requests[row] = post('/v3/kv/range', '{"key":"' .. base64('stock/' .. row) .. '"}')
  end
  request = function() return requests[any_row()] end
end

-- What a reserve does, as one transaction: when the row is still as it was seen last, write the row, a hold and a movement.
-- Either way the answer has the row, so that the next transaction on it knows its revision without a request of its own.
-- FILE has the revision of each row at the start, a line each.
function kinds.swap(file)
  local keys, revisions, number_of = {}, {}, {}
  for revision in io.lines(file) do revisions[#revisions + 1] = revision end
  local start = os.time() .. '-' .. math.random(1, 1000000000) .. '-'
  local number = 0
  swapped, missed = 0, 0
  for row = 0, rows - 1 do
    keys[row] = base64('stock/' .. row)
    number_of[keys[row]] = row
  end
  local stock, hold = base64('available=999999999 reserved=1'), base64('qty=1 until=1790000000000 HELD')
  request = function()
    number = number + 1
    local row = any_row()
    local key, id = keys[row], start .. number
    local function put(name, value)
      return '{"requestPut":{"key":"' .. name .. '","value":"' .. value .. '"}}'
    end
    local range = '{"requestRange":{"key":"' .. key .. '"}}'
    return post('/v3/kv/txn', '{"compare":[{"key":"' .. key .. '","target":"MOD","result":"EQUAL","modRevision":"' ..
      revisions[row + 1] .. '"}],"success":[' .. put(key, stock) .. ',' .. put(base64('hold/' .. id), hold) .. ',' ..
      put(base64('movement/' .. id), stock) .. ',' .. range .. '],"failure":[' .. range .. ']}')
  end
  response = function(_, _, body)
    if body:find('"succeeded":true', 1, true) then swapped = swapped + 1 else missed = missed + 1 end
    local key, revision = body:match('"kvs":%[{"key":"([^"]+)".-"mod_revision":"(%d+)"')
    if key then revisions[number_of[key] + 1] = revision end
  end
end

function setup(thread) threads[#threads + 1] = thread end

function init(args)
  math.randomseed(os.time())
  rows, size = tonumber(args[2]), tonumber(args[3])
  kinds[args[1]](args[4])
end

function done(summary, latency)
  local errors, ok = summary.errors, summary.requests - summary.errors.status
  local missed = 0
  if threads[1]:get('swapped') then
    ok = 0
    for _, thread in ipairs(threads) do
      ok, missed = ok + thread:get('swapped'), missed + thread:get('missed')
    end
  end
  local function ms(quantile) return latency:percentile(quantile) / 1000 end
  io.write(string.format(
    '\n{"ok":%d,"missed":%d,"refused":%d,"broken":%d,"late":%d,"seconds":%f,"bytes":%d,"p50Ms":%f,"p99Ms":%f}\n',
    ok, missed, errors.status, errors.connect + errors.read + errors.write, errors.timeout, summary.duration / 1e6,
    summary.bytes, ms(50), ms(99)))
end
