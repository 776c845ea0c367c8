# Functions that every mapping may call, beside those of jq. A mapping that defines one of the same
# name uses its own.

# Returns a text; an absent, empty or "-" one is null.
def text:
  if type == "number" then tostring
  elif type != "string" or . == "" or . == "-" then null
  else . end;

# Returns the first of some values that is a text.
def first_of(values): first(values | text | select(. != null)) // null;

# Returns a number of 0 or more, also one that is written as a text; of any other value null.
def number:
  (if type == "string" and test("^[0-9]+([.][0-9]+)?$") then tonumber else . end)
  | if type == "number" and . >= 0 then . else null end;

# Returns a whole number; of any other value null.
def whole: number | if . == null or . != floor then null else . end;

# Returns an object without its absent fields.
def present: map_values(select(. != null));

# Tells whether a segment of a path names one thing: a number, a month or day, an e-mail address, a
# hexadecimal text of 16 digits, a prefixed id such as order-1042 or cus_Nff4ra2b, or any text of
# 20 characters with a digit in it, such as a UUID or a token.
def names_one:
  contains("@") or contains("=") or test("^[0-9]+$")
  or (length > 4 and test("[0-9]")
    and (length >= 20 or test("^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$|^[0-9a-fA-F]{16,}$|^[A-Za-z]{1,8}[_-]([0-9]{3,}|[0-9A-Za-z]{8,})$|%40|%3[dDfF]")));

# Returns the path of a URL as a template: without host, query, fragment and path parameters, and
# with {id} for the segments that name one thing.
def route:
  if . == null then null
  else
    (if startswith("/") then . else sub("^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"; "") end)
    | (if contains("?") then split("?")[0] else . end)
    | (if contains("#") then split("#")[0] else . end)
    | [split("/")[] | (if contains(";") then split(";")[0] else . end)
        | if names_one then "{id}" else . end]
    | join("/")
    | if . == "" then "/" else . end
  end;

# Returns sandbox for a host such as sandbox.example.com, and null for any other.
def environment:
  if . != null and contains("sandbox")
    and (ascii_downcase | split(":")[0] | split(".") | index("sandbox") != null)
  then "sandbox" else null end;

# Returns the first value in a query string whose name is one of some.
def of_query($names):
  if . == null or (contains("?") | not) then null
  else
    first(split("?")[1:] | join("?") | split("#")[0] // "" | split("&")[] | split("=")
      | (.[0] // "" | ascii_downcase) as $name
      | select($names | index($name) != null)
      | .[1:] | join("=") | select(. != "")) // null
  end;

# Returns the API key of a query string, of which only a keyed hash is stored.
def key_of_query: of_query(["api_key", "api-key", "apikey", "access_token", "key", "token"]);

# Returns a pseudonym of the API key of a query string. A parameter that is only called key or token may
# be something else, such as the token of a page, so it is nobody's.
def holder_of_query: of_query(["api_key", "api-key", "apikey", "access_token"]) | pseudonym;

# Tells whether a server that answers this may not know who called: anybody can make up a name or key.
def is_refused: . == 401 or . == 403;

# Returns a time such as 10/Oct/2025:13:55:36 -0700 as RFC 3339.
def log_time:
  .[3:6] as $name
  | ("Jan01Feb02Mar03Apr04May05Jun06Jul07Aug08Sep09Oct10Nov11Dec12"
    | index($name) as $at | if $at == null then null else .[$at + 3:$at + 5] end) as $month
  | if length == 26 and $month != null
    then "\(.[7:11])-\($month)-\(.[0:2])T\(.[12:20])\(.[21:24]):\(.[24:26])"
    else error("the time is not written as 10/Oct/2025:13:55:36 -0700") end;

# Returns an instant as RFC 3339 or epoch milliseconds. It may be written as RFC 3339, as
# 10/Oct/2025:13:55:36 -0700, or as seconds or milliseconds since 1970.
def instant:
  if . == null then error("no time in the record")
  elif .[2:3] == "/" then log_time
  else
    number as $number
    | if $number == null then .
      elif $number < 100000000000 then $number * 1000 | round
      else $number | floor end
  end;

# Leaves a refused call out whose caller nobody knows: a name or a key in it may be made up.
def refused: left_out("it was refused (4xx), and nothing in it proves who called");

# Returns the consumer. A call without one is left out where it was refused (4xx), because nobody
# knows who made it; any other is an error.
def known($status):
  if . != null then .
  elif $status >= 400 and $status < 500 then refused
  else error("no consumer in the record") end;

# Returns the consumer. A call without one is left out where it was refused (4xx), because nobody
# knows who made it, and where a load balancer or Kubernetes only asks whether the server is alive;
# any other is an error.
def known($status; $agent):
  if . != null then .
  elif $status >= 400 and $status < 500 then refused
  elif $agent // "" | test("^(kube-probe|ELB-HealthChecker|GoogleHC)/")
  then left_out("a health check of Kubernetes or a load balancer")
  else error("no consumer in the record") end;

# Refuses a consumer that looks like a key, because a partner_id is stored in the clear.
def no_key:
  if startswith("sk_") or startswith("rk_") or (length >= 32
    and test("^eyJ[0-9A-Za-z_-]+[.]|^[0-9A-Za-z]{32,}$|^[0-9A-Za-z+/=_.-]{40,}$"))
  then error("the consumer looks like a key, but a partner_id is stored in the clear")
  else . end;

# Returns the text between the quotes of a line, and around them. Apache writes a quote inside of
# them as \", and nginx as \x22.
def quoted_parts:
  (if contains(" \"\" [") then split(" \"\" [") | join(" - [") else . end)
  | if contains("\\")
    then (split("\\\\") | join("\u0001") | split("\\\"") | join("\u0002") | split("\"")
      | map(split("\u0001") | join("\\\\") | split("\u0002") | join("\\\"")))
    else split("\"") end;

# Returns the parts of a line in the combined or the common log format. A connection without a request
# gives nothing.
def combined_line:
  if type != "string" then error("not a line of text") else . end
  | quoted_parts as $parts
  | ($parts[0] // "" | split(" [")) as $head
  | ($parts[2] // "" | split(" ")) as $answer
  | if ($parts | length) < 3 or ($head | length) < 2 or ($answer | length) < 3
    then error("not a line of the combined log format") else . end
  | $parts[1] as $line
  | if $line == "" or $line == "-" then left_out("a connection without a request") else . end
  | ($line | split(" ")) as $request
  | (($request | length) == 3 and ($request[2] | startswith("HTTP/"))) as $is_http
  | {
      user: ($head[:-1] | join(" [") | split(" ")[2:] | join(" ") | text),
      time: ($head[-1] | split("]")[0]),
      method: (if $is_http then $request[0] else null end),
      target: (if $is_http then $request[1] else null end),
      status: (if $answer[1] == "000" or $answer[1] == "-" then 499
        else ($answer[1] | whole) // error("not a line of the combined log format") end),
      bytes: (if $answer[2] == "-" then 0 else ($answer[2] | whole) end),
      agent: $parts[5]
    };
