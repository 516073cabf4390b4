// What the pages can do beyond showing themselves. Each module is one behaviour, and nothing needs any of them.
import "./live.js";
import "./choose.js";
import "./focus.js";
import "./keys.js";
import "./log.js";
import "./menus.js";
import "./preview.js";
import "./scrub.js";
