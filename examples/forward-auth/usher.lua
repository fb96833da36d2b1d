-- Asks Usher about a request, for HAProxy: `http-request lua.usher_verify`. The cookies of a renewed session are left in
-- `txn.usher_cookie_1`, `_2` and so on.

local verify = (os.getenv("USHER_VERIFY") or "http://usher:8001") .. "/.usher/verify"

-- How long Usher may take, in milliseconds: longer than a renewal.
local patience = 15000

-- What is about the client's connection, or about a body, which stays here.
local stays = {
    ["connection"] = true,
    ["content-length"] = true,
    ["expect"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
}

-- What is about the answer itself. Everything else in it is for the application.
local about_answer = {
    ["cache-control"] = true,
    ["connection"] = true,
    ["content-length"] = true,
    ["content-type"] = true,
    ["date"] = true,
    ["set-cookie"] = true,
    ["transfer-encoding"] = true,
}

-- In their order. Those of a request are counted from 0, those of an answer perhaps from 1.
local function list(values)
    local copied = { values[0] }
    for _, value in ipairs(values) do
        copied[#copied + 1] = value
    end
    return copied
end

local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not stays[name] then
            headers[name] = list(values)
        end
    end
    return headers
end

local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status, reason = answer.reason })
    for name, values in pairs(answer.headers) do
        if name ~= "content-length" and not stays[name] then
            for _, value in ipairs(list(values)) do
                reply:add_header(name, value)
            end
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

core.register_action("usher_verify", { "http-req" }, function(txn)
    local answer = core.httpclient():get({ url = verify, headers = question(txn), timeout = patience })
    if not answer or not answer.status or answer.status == 0 then
        core.Warning("Usher does not answer")
        txn:done(txn:reply({ status = 503, headers = { ["cache-control"] = { "no-store" } } }))
        return
    end
    if answer.status ~= 200 then
        refuse(txn, answer)
        return
    end
    for name, values in pairs(answer.headers) do
        if not about_answer[name] then
            -- Over what the client has sent; a field that says nothing takes the client's own off.
            txn.http:req_del_header(name)
            for _, value in ipairs(list(values)) do
                if value ~= "" then
                    txn.http:req_add_header(name, value)
                end
            end
        end
    end
    for number, cookie in ipairs(list(answer.headers["set-cookie"] or {})) do
        txn:set_var("txn.usher_cookie_" .. number, cookie)
    end
end, 0)
