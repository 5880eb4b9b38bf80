// The set-up code comes after the # of the link, which browsers send to nobody. This copies it to the
// form and takes it out of the address bar and the history.
"use strict";
const code = location.hash.slice(1);
if (code !== "") {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname);
  document.getElementById("username").focus();
}
